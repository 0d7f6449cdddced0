"""The page of the events, from the classes that the log is made of."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import NewType, TypeAliasType

from pages.text import anchor, first_paragraph, origin_of, own_doc, parts_of, table, without_none
from tocsin.incident.codec import KINDS
from tocsin.incident.events import Recorded
from tocsin.store.chain import LogRow

_ROW_FIELDS = {
    "incident": "The incident's id.",
    "seq": "The number within the incident.",
    "at": "When, in UTC, as the text that was hashed.",
    "principal": "Who: a person's id, or `tocsin`.",
    "key": "Unique within the incident: appending under a key that is there changes nothing.",
    "kind": "What kind of event; see below.",
    "data": "The event's fields, as the exact JSON text that was hashed.",
    "prev_hash": 'The hash of the row before; for the first row the SHA-256 of `["tocsin event log",INCIDENT]`.',
    "hash": "SHA-256 over the canonical JSON of all the other fields.",
}
_WORDS: dict[object, str] = {str: "text", int: "whole number", bool: "true or false", datetime: "time (ISO 8601)"}


def events() -> Iterator[str]:
    """The lines of the page."""
    yield "The event log is the truth about an incident: append-only, and chained by hash. A line of an export is one"
    yield "row as canonical JSON (keys sorted, no spaces, UTF-8)."
    yield from ("", "## The row", "")
    yield from table(
        ("field", "type", "meaning"), [(f"`{f.name}`", _type(f.type), _ROW_FIELDS[f.name]) for f in fields(LogRow)]
    )
    yield ""
    yield first_paragraph(own_doc(Recorded))
    yield "Step numbers count from 1 as in the runbook; choices, alternatives and items count from 0."
    yield from ("", "## Kinds", "")
    yield from table(
        ("kind", "what happened"),
        [(f"[`{kind}`](#{anchor(kind)})", first_paragraph(own_doc(event))) for kind, event in KINDS.items()],
    )
    inside: dict[str, type] = {}
    for kind, event in KINDS.items():
        yield from _described(kind, event)
        _collect(event, inside)
    yield from ("", "## Values inside events")
    for name, value in sorted(inside.items()):
        yield from _described(name, value)


def _described(name: str, value: type) -> Iterator[str]:
    yield from ("", f"### {name}", "")
    if doc := own_doc(value):
        yield from (*doc.splitlines(), "")
    listed = fields(value)
    if listed:
        yield from table(("field", "type"), [(f"`{f.name}`", _type(f.type)) for f in listed])
    else:
        yield "It has no fields."


def _collect(value: type, into: dict[str, type]) -> None:
    """Adds the dataclasses that stand in the fields of one, and those in theirs."""
    for field in fields(value):
        for part in _dataclasses_in(field.type):
            if part.__name__ not in into:
                into[part.__name__] = part
                _collect(part, into)


def _dataclasses_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, type) and is_dataclass(annotation):
        yield annotation
    for part in parts_of(annotation):
        yield from _dataclasses_in(part)


def _type(annotation: object) -> str:
    """A field's type as it stands in the log's JSON."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, TypeAliasType):
        return "JSON"
    options = without_none(annotation)
    if options != (annotation,):
        return f"{' or '.join(_type(option) for option in options)}, or null"
    origin, parts = origin_of(annotation), parts_of(annotation)
    if origin is tuple:
        return f"list: {_type(parts[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "object"
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return ", ".join(f"`{word}`" for word in annotation)
    if isinstance(annotation, type) and is_dataclass(annotation):
        return f"[{annotation.__name__}](#{anchor(annotation.__name__)})"
    if isinstance(annotation, NewType):
        return f"text ({annotation.__name__})"
    raise TypeError(f"no words are known for the type {annotation!r}")
