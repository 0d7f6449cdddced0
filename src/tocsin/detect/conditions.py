"""Conditions of rules: CEL expressions, type-checked when they are loaded.

Integers in CEL have 64 bits and token amounts do not fit, so amounts are decimal strings, compared exactly by
`amount_gt`, `amount_ge`, `amount_lt` and `amount_le`. CEL returns run-time errors as values whose content is truthy;
`Condition.holds` turns them into exceptions.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, cast

from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]

from tocsin.domain.errors import ConfigurationInvalid

_CEL: Any = cel
_AMOUNT_CHARACTERS_MAX = 120


class VariableType(StrEnum):
    """The types that a condition's variables can have. An amount is a decimal string of whole tokens."""

    AMOUNT = "amount"
    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"


type Value = str | int | bool


class Condition:
    """A compiled condition over declared variables."""

    def __init__(self, source: str, variables: Mapping[str, VariableType], where: str) -> None:
        """Compiles `source`; `where` names the rule in errors.

        Raises:
            ConfigurationInvalid: a syntax or type error, with its position; or the expression is no Boolean.
        """
        kinds = {
            VariableType.AMOUNT: _CEL.Type.STRING,
            VariableType.TEXT: _CEL.Type.STRING,
            VariableType.INTEGER: _CEL.Type.INT,
            VariableType.BOOLEAN: _CEL.Type.BOOL,
        }
        environment = _CEL.NewEnv(
            variables={name: kinds[kind] for name, kind in variables.items()},
            functions=[_comparison(name, test) for name, test in _COMPARISONS.items()],
        )
        try:
            self._program = environment.compile(source)
        except RuntimeError as error:  # the library has no class of its own
            offered = ", ".join(f"{name} ({kind})" for name, kind in variables.items())
            raise ConfigurationInvalid(
                "condition-invalid",
                f"{where}: the condition {source!r} can't be used: {str(error).strip()}",
                next_step=f"mend it; it may use {offered}",
            ) from error
        if self._program.return_type() != _CEL.Type.BOOL:
            raise ConfigurationInvalid(
                "condition-not-boolean",
                f"{where}: the condition {source!r} gives {self._program.return_type()}, not true or false",
                next_step="compare something in it",
            )
        self.source, self._where, self._names = source, where, frozenset(variables)

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Evaluates the condition.

        Raises:
            ValueError: the evaluation failed (a division by zero, an amount that is no number).
        """
        assert self._names == values.keys(), "every declared variable has a value"
        try:
            result = self._program.eval(data=dict(values))
        except RuntimeError as error:  # a value that the library can't take, such as a text that is no Unicode
            raise ValueError(f"{self._where}: {error}") from error
        if result.type() != _CEL.Type.BOOL:
            raise ValueError(f"{self._where}: {result.value()}")
        return cast(bool, result.value())


def _amount(text: str) -> Decimal:
    if len(text) > _AMOUNT_CHARACTERS_MAX:
        raise ValueError("the amount is too long")
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no amount") from error
    if not value.is_finite():
        raise ValueError(f"{text!r} is no amount")
    return value


_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "amount_gt": lambda a, b: _amount(a) > _amount(b),
    "amount_ge": lambda a, b: _amount(a) >= _amount(b),
    "amount_lt": lambda a, b: _amount(a) < _amount(b),
    "amount_le": lambda a, b: _amount(a) <= _amount(b),
}


def _comparison(name: str, test: Callable[[str, str], bool]) -> Any:
    text = _CEL.Type.STRING
    overload = _CEL.Overload(f"{name}_text_text", return_type=_CEL.Type.BOOL, parameters=[text, text], impl=test)
    return _CEL.FunctionDecl(name, [overload])
