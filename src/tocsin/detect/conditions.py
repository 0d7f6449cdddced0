"""Conditions of rules: CEL expressions, type-checked when they are loaded.

Integers in CEL have 64 bits and token amounts do not fit, so amounts are decimal strings, compared and computed exactly
by the functions of `amounts` beside this module. CEL returns run-time errors as values whose content is truthy;
`Condition.holds` turns them into exceptions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]

from tocsin.detect.amount_functions import FUNCTIONS, Kind, Literal, Threshold, literals_in, thresholds_in
from tocsin.detect.comparisons import without_plain_comparisons
from tocsin.domain.errors import ConfigurationInvalid

_CEL: Any = cel
_POSITION = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")


class VariableType(StrEnum):
    """The types that a condition's variables can have. An amount is a decimal string of whole tokens."""

    AMOUNT = "amount"
    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"


type Value = str | int | bool

_VARIABLE_TYPES: Mapping[VariableType, Any] = {
    VariableType.AMOUNT: _CEL.Type.STRING,
    VariableType.TEXT: _CEL.Type.STRING,
    VariableType.INTEGER: _CEL.Type.INT,
    VariableType.BOOLEAN: _CEL.Type.BOOL,
}


_KINDS: Mapping[VariableType, Kind] = {
    VariableType.AMOUNT: Kind.AMOUNT,
    VariableType.TEXT: Kind.AMOUNT,  # CEL sees no difference; what is no amount is an error when it is evaluated
    VariableType.INTEGER: Kind.INTEGER,
    VariableType.BOOLEAN: Kind.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is wrong with an expression. Line and column count from one."""

    line: int
    column: int
    message: str


class Condition:
    """A compiled condition over declared variables."""

    def __init__(self, source: str, variables: Mapping[str, VariableType], where: str) -> None:
        """Compiles `source`; `where` names the rule in errors.

        Raises:
            ConfigurationInvalid: a syntax or type error, with its position; or the expression is no Boolean.
        """
        self._where = where
        self.source = source
        self.variables = dict(variables)
        try:
            self._program = _compile(source, variables)
        except RuntimeError as error:  # the library has no class of its own
            raise self._unusable(_problems(str(error)), str(error)) from error
        if self._program.return_type() != _CEL.Type.BOOL:
            raise ConfigurationInvalid(
                "condition-not-boolean",
                f"{where}: the condition {source!r} gives {self._program.return_type()}, not true or false",
                next_step="compare something in it",
            )
        rewritten = without_plain_comparisons(source, {name: _KINDS[kind] for name, kind in variables.items()})
        self._comparisons = rewritten.comparisons
        outcomes = dict.fromkeys(rewritten.comparisons, VariableType.BOOLEAN)
        self._quick_program = _compile(rewritten.source, {**variables, **outcomes})
        self.mentions = frozenset(name for name in variables if not _compiles_without(source, variables, name))
        """The variables that the condition depends on; the others need no value."""

    def check_amounts(self) -> None:
        """Makes sure that what the condition writes down as an amount is one; CEL takes any text for it.

        Raises:
            ConfigurationInvalid: something is none, with its position.
        """
        if problems := [_amount_problem(literal) for literal in literals_in(self.source) if not literal.is_amount]:
            raise self._unusable(problems, "")

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Amounts that the condition compares a variable with, as far as they are written in it."""
        return thresholds_in(self.source, self.mentions)

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Evaluates the condition, with a value for every declared variable.

        Raises:
            ValueError: the evaluation failed (a division by zero, an amount that is no number).
        """
        assert self.variables.keys() == values.keys(), "every declared variable has a value"
        return self.holds_given(values)

    def holds_given(self, values: Mapping[str, Value]) -> bool:
        """Evaluates the condition as `holds` does; values are needed for the variables that it `mentions` only."""
        assert self.mentions <= values.keys(), "every variable that is mentioned has a value"
        try:
            outcomes = {name: compare(values) for name, compare in self._comparisons.items()}
        except ValueError:
            # Whether that matters depends on the rest of the condition, as CEL has it.
            return self._evaluated(self._program, dict(values))
        return self._evaluated(self._quick_program, {**values, **outcomes})

    def _evaluated(self, program: Any, data: dict[str, Value]) -> bool:
        try:
            result = program.eval(data=data)
        except RuntimeError as error:  # a value that the library can't take, such as a text that is no Unicode
            raise ValueError(f"{self._where}: {error}") from error
        value = result.value()
        # The value of an error is a text, and the expression is known to give a Boolean otherwise.
        if value is True or value is False:
            return value
        raise ValueError(f"{self._where}: {value}")

    def _unusable(self, problems: list[_Problem], otherwise: str) -> ConfigurationInvalid:
        offered = ", ".join(f"{name} ({kind})" for name, kind in self.variables.items())
        shown = "; ".join(f"condition:{p.line}:{p.column}: {p.message}" for p in problems) or otherwise.strip()
        return ConfigurationInvalid(
            "condition-invalid",
            f"{self._where}: the condition {self.source!r} can't be used: {shown}",
            next_step=f"mend it; it may use {offered}",
            data={"positions": [{"line": p.line, "column": p.column, "message": p.message} for p in problems]},
        )


def _compile(source: str, variables: Mapping[str, VariableType]) -> Any:
    environment = _CEL.NewEnv(
        variables={name: _VARIABLE_TYPES[kind] for name, kind in variables.items()},
        functions=_FUNCTION_DECLARATIONS,
    )
    return environment.compile(source)


def _compiles_without(source: str, variables: Mapping[str, VariableType], name: str) -> bool:
    """Whether an expression that is known to compile still does when this variable is not declared."""
    try:
        _compile(source, {other: kind for other, kind in variables.items() if other != name})
    except RuntimeError:
        return False
    return True


def _problems(text: str) -> list[_Problem]:
    """The library's list of errors; each stands over a drawing of its place, which is left out."""
    return [_Problem(int(line), int(column), message.strip()) for line, column, message in _POSITION.findall(text)]


def _amount_problem(literal: Literal) -> _Problem:
    return _Problem(literal.line, literal.column, f"{literal.text!r} is no amount: write a decimal such as 12.5")


def _declarations() -> list[Any]:
    kinds = {Kind.AMOUNT: _CEL.Type.STRING, Kind.INTEGER: _CEL.Type.INT, Kind.BOOLEAN: _CEL.Type.BOOL}
    return [
        _CEL.FunctionDecl(
            function.name,
            [
                _CEL.Overload(
                    f"{function.name}_{'_'.join(function.parameters)}",
                    return_type=kinds[function.returns],
                    parameters=[kinds[parameter] for parameter in function.parameters],
                    impl=function.run,
                )
            ],
        )
        for function in FUNCTIONS
    ]


_FUNCTION_DECLARATIONS = _declarations()
