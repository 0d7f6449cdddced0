"""Amounts in conditions: exact decimal strings, the functions over them, and where a condition writes one down.

Exact to 256 bits and far beyond: what can't be computed without rounding is an error and never an approximation.
Compiling and evaluating conditions is the business of `conditions`.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

AMOUNT_CHARACTERS_MAX = 120
_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow])
_PERCENT = Decimal("0.01")


class Kind(StrEnum):
    """What the functions take and give."""

    AMOUNT = "amount"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@lru_cache(256)  # a condition's own amounts are the same every time
def parse_amount(text: str) -> Decimal:
    """The amount that a text writes down.

    Raises:
        ValueError: it is no finite decimal number, or has more characters or digits than any amount.
    """
    if len(text) > AMOUNT_CHARACTERS_MAX:
        raise ValueError("the amount is too long")
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no amount") from error
    if not value.is_finite():
        raise ValueError(f"{text!r} is no amount")
    if abs(value.adjusted()) > AMOUNT_CHARACTERS_MAX:
        raise ValueError(f"{text!r} is larger or finer than any amount")
    return value


def _text(value: Decimal) -> str:
    return f"{value:f}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function that conditions may call, with what it does in words."""

    name: str
    parameters: tuple[Kind, ...]
    returns: Kind
    run: Callable[..., str | bool]
    help: str

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.parameters)}) -> {self.returns}"


def _comparison(name: str, test: Callable[[Decimal, Decimal], bool], help_: str) -> Function:
    def run(a: str, b: str) -> bool:
        return test(parse_amount(a), parse_amount(b))

    return Function(name, (Kind.AMOUNT, Kind.AMOUNT), Kind.BOOLEAN, run, help_)


def _operation(name: str, combine: Callable[[Decimal, Decimal], Decimal], help_: str) -> Function:
    def run(a: str, b: str) -> str:
        try:
            return _text(combine(parse_amount(a), parse_amount(b)))
        except DecimalException as error:
            raise ValueError(f"{name}({a}, {b}) has no exact result") from error

    return Function(name, (Kind.AMOUNT, Kind.AMOUNT), Kind.AMOUNT, run, help_)


def _scaling(name: str, unit: Decimal, help_: str) -> Function:
    def run(amount: str, by: int) -> str:
        try:
            return _text(_EXACT.multiply(parse_amount(amount), _EXACT.multiply(Decimal(by), unit)))
        except DecimalException as error:
            raise ValueError(f"{name}({amount}, {by}) has no exact result") from error

    return Function(name, (Kind.AMOUNT, Kind.INTEGER), Kind.AMOUNT, run, help_)


FUNCTIONS = (
    _comparison("amount_gt", lambda a, b: a > b, "the first is more than the second"),
    _comparison("amount_ge", lambda a, b: a >= b, "the first is at least the second"),
    _comparison("amount_lt", lambda a, b: a < b, "the first is less than the second"),
    _comparison("amount_le", lambda a, b: a <= b, "the first is at most the second"),
    _operation("amount_add", _EXACT.add, "both together"),
    _operation("amount_sub", _EXACT.subtract, "the first without the second; may be negative"),
    _operation("amount_min", min, "the smaller one"),
    _operation("amount_max", max, "the larger one"),
    _scaling("amount_mul", Decimal(1), "so many times the amount"),
    _scaling("amount_percent", _PERCENT, "so many per cent of the amount"),
)
_AMOUNTS_OF = {f.name: tuple(kind is Kind.AMOUNT for kind in f.parameters) for f in FUNCTIONS}
_UPPER_BOUNDS = frozenset({"amount_gt", "amount_ge"})


class Token(NamedTuple):
    """A piece of a condition: `kind` is text, number, name (with what follows its dots) or mark."""

    kind: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Literal:
    """An amount as a condition writes it down. Line and column count from one."""

    text: str
    line: int
    column: int

    @property
    def is_amount(self) -> bool:
        return _decimal(self.text) is not None


@dataclass(frozen=True, slots=True)
class Threshold:
    """An amount that a condition compares a variable with."""

    variable: str
    amount: Decimal


_TOKEN = re.compile(
    r"""//[^\n]*
    |(?P<text>[rR]?(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>\d[\w.]*)
    |(?P<name>[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*)
    |(?P<mark>[^\s])""",
    re.VERBOSE,
)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_UPPER_BOUND = ("(", "name", ",", "text", ")")


def literals_in(source: str) -> Iterator[Literal]:
    """The texts that a condition, known to compile, gives directly to a function where that takes an amount."""
    calls: list[tuple[str, int]] = []
    before = ""
    found = tokens_in(source)
    for index, (kind, text, start) in enumerate(found):
        if kind == "mark" and text in _OPENING:
            calls.append((before if text == "(" else "", 0))
        elif kind == "mark" and text in _CLOSING and calls:
            calls.pop()
        elif kind == "mark" and text == "," and calls:
            calls[-1] = (calls[-1][0], calls[-1][1] + 1)
        elif kind == "text" and calls and found[index - 1].text in {"(", ","} and found[index + 1].text in {")", ","}:
            function, position = calls[-1]
            if any(_AMOUNTS_OF.get(function, ())[position : position + 1]):
                line = source.count("\n", 0, start) + 1
                yield Literal(content_of(text), line, start - source.rfind("\n", 0, start))
        before = text if kind == "name" else ""


def thresholds_in(source: str, variables: Collection[str]) -> tuple[Threshold, ...]:
    """Where a condition asks whether a variable is above (or at) an amount that it writes down."""
    tokens = tokens_in(source)
    found: dict[Threshold, None] = {}
    for index, (kind, name, _) in enumerate(tokens):
        arguments = tokens[index + 1 : index + 6]
        shape = tuple(text if each == "mark" else each for each, text, _ in arguments)
        if kind == "name" and name in _UPPER_BOUNDS and shape == _UPPER_BOUND:
            variable, amount = "".join(arguments[1][1].split()), _decimal(content_of(arguments[3][1]))
            if variable in variables and amount is not None:
                found[Threshold(variable, amount)] = None
    return tuple(found)


def tokens_in(source: str) -> list[Token]:
    """A condition's tokens; comments are left out."""
    return [Token(t.lastgroup, t[0], t.start()) for t in _TOKEN.finditer(source) if t.lastgroup is not None]


def _decimal(text: str) -> Decimal | None:
    try:
        return parse_amount(text)
    except ValueError:
        return None


def content_of(literal: str) -> str:
    """What stands between the quotes of a text."""
    text = literal.lstrip("rR")
    quotes = 3 if text[:3] in {'"""', "'''"} else 1
    return text[quotes:-quotes]
