"""What the pages share: tables and anchors of Markdown, and reading docstrings and types."""

import ast
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType, NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; a `|` inside a cell stays one."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(text.replace('|', '\\|') for text in row)} |"


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a help text or docstring, on one line."""
    return " ".join(inspect.cleandoc(text or "").split("\n\n", 1)[0].split())


def own_doc(value: type) -> str:
    """A class's docstring, without the signature that dataclasses make up where there is none."""
    doc = inspect.getdoc(value) or ""
    return "" if doc.startswith(f"{value.__name__}(") else doc


def docs_below(holder: ModuleType | type) -> dict[str, str]:
    """The docstrings below the assignments and type aliases of a module or a class, by name."""
    body = ast.parse(inspect.getsource(holder)).body
    if isinstance(holder, type):
        body = cast(ast.ClassDef, body[0]).body
    found: dict[str, str] = {}
    for statement, below in itertools.pairwise(body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.TypeAlias(name=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                found[name] = " ".join(doc.split())
            case _:
                pass
    return found


def parts_of(annotation: Any) -> tuple[object, ...]:
    """The parameters of a type: of `dict[str, Path]`, `str` and `Path`."""
    return get_args(annotation)


def origin_of(annotation: Any) -> Any:
    """What a type is made of: of `dict[str, Path]`, `dict`."""
    return get_origin(annotation)


def without_none(annotation: object) -> tuple[object, ...]:
    """The members of a union without None; a type that is no union by itself."""
    if origin_of(annotation) not in (Union, UnionType):
        return (annotation,)
    return tuple(part for part in parts_of(annotation) if part is not NoneType)
