"""The page of the configuration, from the schema of `tocsin.toml`."""

import enum
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeAliasType

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pages.text import anchor, docs_below, origin_of, parts_of, table, without_none
from tocsin.settings import Settings

_ALIASES = {
    "FeeText": "GAS as a text",
    "GasText": "GAS as a text",
    "ContractHash": "script hash",
    "Account": "address or script hash",
    "PublicKeyHex": "public key",
    "Period": 'seconds, or a text such as "15m"',
}
"""What people write for types that have a name of their own."""
_WORDS: Mapping[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def configuration() -> Iterator[str]:
    """The lines of the page."""
    yield "`tocsin.toml`, found by `--config`, else `TOCSIN_CONFIG`, else in this folder. Relative paths are relative"
    yield "to the file's folder. Unknown keys are errors. The environment wins over the file: `TOCSIN_MODE=ask`,"
    yield "`TOCSIN_NETWORK__QUORUM=2` (two underscores lead into a table; lists and tables are written as JSON)."
    yield "`tocsin init` writes a commented example."
    for section in sections():
        yield from ("", f"## {_title(section)}", "")
        if section is not Settings:
            yield from (*(inspect.getdoc(section) or "").splitlines(), "")
            if len(places := _places(section)) > 1:
                yield from (f"It stands at {', '.join(places)}.", "")
        yield from table(("key", "type", "default", "meaning"), _keys(section))


@cache
def sections() -> tuple[type[BaseModel], ...]:
    """The tables of the file, each once, in the order in which they are first met."""
    found: list[type[BaseModel]] = []

    def meet(section: type[BaseModel]) -> None:
        if section not in found:
            found.append(section)
            for field in section.model_fields.values():
                for inner in _sections_in(field.annotation):
                    meet(inner)

    meet(Settings)
    return tuple(found)


def unexplained() -> list[str]:
    """The keys of which neither their own docstring nor that of their table says anything."""
    return [
        f"{section.__name__}.{name}"
        for section in sections()
        for name in section.model_fields
        if not _meaning(section, name)
    ]


def _sections_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in parts_of(annotation):
        yield from _sections_in(part)


def _title(section: type[BaseModel]) -> str:
    """The heading of a table: where it stands if that is one place, else its name."""
    if section is Settings:
        return "Top level"
    places = _places(section)
    return places[0] if len(places) == 1 else section.__name__.removesuffix("Settings")


@cache
def _places(section: type[BaseModel]) -> tuple[str, ...]:
    return tuple(place for owner in sections() for place in _places_within(owner, section))


def _places_within(owner: type[BaseModel], section: type[BaseModel]) -> Iterator[str]:
    """Where a table stands in its owner: a heading of the file, or a key."""
    for key, field in owner.model_fields.items():
        if section not in _sections_in(field.annotation):
            continue
        kind = origin_of(without_none(field.annotation)[0])
        within = "" if owner is Settings else f"{_title(owner).strip('[]')}."
        if owner is not Settings and kind not in (tuple, dict):
            yield f"`{key}` of {_title(owner)}"
        elif kind is tuple:
            yield f"[[{within}{key}]]"
        else:
            yield f"[{within}{key}.NAME]" if kind is dict else f"[{within}{key}]"


def _keys(section: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    written = inspect.get_annotations(section)
    for name, field in section.model_fields.items():
        limits = [
            f"{words} {limit}"
            for constraint in field.metadata
            for bound, words in _BOUNDS.items()
            if (limit := getattr(constraint, bound, None)) is not None
        ]
        # As it is written: pydantic has taken the names of aliases apart.
        kind = _type(written.get(name, field.annotation))
        default = _default(field.get_default(call_default_factory=True))
        yield f"`{field.alias or name}`", ", ".join((kind, *limits)), default, _meaning(section, name)


def _meaning(section: type[BaseModel], name: str) -> str:
    told = docs_below(section).get(name, "")
    return told or ("See above." if f"`{name}`" in (inspect.getdoc(section) or "") else "")


def _type(annotation: object) -> str:
    """A type in words."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, TypeAliasType):
        return _ALIASES.get(annotation.__name__) or _type(annotation.__value__)
    options = without_none(annotation)
    if options != (annotation,):
        return " or ".join(_type(option) for option in options)
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return ", ".join(f"`{word}`" for word in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[table](#{anchor(_title(annotation))})"
    origin, parts = origin_of(annotation), parts_of(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in parts)
    if origin is tuple:
        return f"list: {_type(parts[0])}"
    if origin is dict:
        by = "name" if parts[0] is str or _type(parts[0]) == "text" else _type(parts[0])
        return f"by {by}: {_type(parts[1])}"
    raise TypeError(f"no words are known for the type {annotation!r}")


def _default(value: object) -> str:
    match value:
        case _ if value is PydanticUndefined:
            return "required"
        case None | () | {}:
            return ""
        case BaseModel():
            return "as below"
        case bool():
            return "`true`" if value else "`false`"
        case int() | float():
            return f"`{value:g}`"
        case _:
            return f'`"{value}"`'
