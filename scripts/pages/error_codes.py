"""Finds every error code in the sources, with the class that carries it and the place where it is raised.

The sources are parsed, not run. A code is the first argument of an error class. Where it is a parameter of the function
that makes the error, the code is looked up in the calls of that function; where it is unpacked from a tuple, in the
tuples of the module whose first element looks like a code.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_KINDS = frozenset(
    {"ConfigurationInvalid", "Unavailable", "Refused", "Failed", "Partial", "OutcomeUnknown", "NeedsOperator"}
)
_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+|usage|expired|unconfirmed")

type _Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Raised:
    """A code in a place. `message` has `…` where the sentence is filled in; empty where it is made elsewhere."""

    kind: str
    code: str
    message: str
    where: str


def collect(package: Path) -> list[Raised]:
    """Every code in the package, sorted.

    Raises:
        ValueError: an error is made with a code that can't be found.
    """
    modules = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    kinds = {kind: kind for kind in _KINDS}
    for tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and (base := _base(node)) is not None:
                kinds[node.name] = base
    found: set[Raised] = set()
    for path, tree in modules.items():
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        found |= set(_Module(name, tree, kinds).raised())
    return sorted(found)


def _base(node: ast.ClassDef) -> str | None:
    return next((base.id for base in node.bases if isinstance(base, ast.Name) and base.id in _KINDS), None)


class _Module:
    """One module: its functions by the names under which they are called."""

    def __init__(self, name: str, tree: ast.Module, kinds: dict[str, str]) -> None:
        self._name, self._tree, self._kinds = name, tree, kinds
        self._calls: list[tuple[ast.Call, str, _Function | None]] = list(_calls(tree, "", None))

    def raised(self) -> Iterator[Raised]:
        for call, where, function in self._calls:
            kind = self._kind(call, where)
            if kind is None:
                continue
            yield from self._of_call(call, kind, where, function)

    def _kind(self, call: ast.Call, where: str) -> str | None:
        match call.func:
            case ast.Name(id=name) if name in self._kinds and (call.args or call.keywords):
                # A subclass that fixes its own code is described where it calls its base.
                return self._kinds[name] if name in _KINDS or _text(call) is not None else None
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
                return self._kinds.get(where.split(".", maxsplit=1)[0])
            case _:
                return None

    def _of_call(self, call: ast.Call, kind: str, where: str, function: _Function | None) -> Iterator[Raised]:
        code = _text(call)
        if code is not None:
            yield Raised(kind, code, _message(call), self._place(where))
            return
        given = call.args[0] if call.args else None
        if not isinstance(given, ast.Name) or function is None:
            raise ValueError(f"{self._name}:{call.lineno}: the code of this error can't be read from the source")
        parameters = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
        codes = (
            self._codes_given_to(function.name, parameters.index(given.id))
            if given.id in parameters
            else self._codes_in_tuples()
        )
        found = False
        for other, message, place in codes:
            found = True
            yield Raised(kind, other, message, self._place(place or where))
        if not found:
            raise ValueError(f"{self._name}:{call.lineno}: nothing gives this error a code")

    def _codes_given_to(self, function: str, position: int) -> Iterator[tuple[str, str, str]]:
        for call, where, _ in self._calls:
            called = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", None)
            if called == function and len(call.args) > position:
                code = _constant(call.args[position])
                if code is not None:
                    yield code, "", where

    def _codes_in_tuples(self) -> Iterator[tuple[str, str, str]]:
        for statement in self._tree.body:
            match statement:
                case ast.Assign(value=ast.Tuple(elts=[ast.Constant(value=str(code)), *rest])) if _CODE.fullmatch(code):
                    yield code, _constant(rest[0]) or "" if rest else "", ""
                case _:
                    pass

    def _place(self, where: str) -> str:
        return f"{self._name}.{where}" if where else self._name


def _calls(node: ast.AST, where: str, function: _Function | None) -> Iterator[tuple[ast.Call, str, _Function | None]]:
    """The calls in a tree, each with the dotted name of where it stands and the function around it."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _calls(child, f"{where}.{child.name}".lstrip("."), child)
            case ast.ClassDef():
                yield from _calls(child, f"{where}.{child.name}".lstrip("."), function)
            case _:
                if isinstance(child, ast.Call):
                    yield child, where, function
                yield from _calls(child, where, function)


def _text(call: ast.Call) -> str | None:
    given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "code"), None)
    return None if given is None else _constant(given)


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _message(call: ast.Call) -> str:
    """The sentence of an error, with `…` for what is filled in."""
    if len(call.args) < 2:
        return ""
    match call.args[1]:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            shown = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
            return "".join(str(part) for part in shown)
        case _:
            return ""
