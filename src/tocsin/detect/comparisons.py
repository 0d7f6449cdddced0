"""Takes plain comparisons of amounts out of a condition, to be made before it is evaluated.

`cel-expr-python` 0.1.3 never frees the arguments of a function that is written in Python: some hundred bytes a call,
which a server that judges for months can't afford. So where a comparison's arguments are variables, written amounts and
functions of those, it is made here and the condition gets its outcome as a Boolean variable, which is quicker, too. The
rest stays with CEL and means the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.detect.amount_functions import FUNCTIONS, Kind, Token, content_of, tokens_in

type Values = Mapping[str, str | int | bool]
type _Argument = Callable[[Values], str | int | bool]

_FUNCTIONS = {function.name: function for function in FUNCTIONS}
_BINDING = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
"""Macros that give a name of their own to what they go through, which could be that of a variable."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A condition in which variables stand for comparisons, and what each of them is."""

    source: str
    comparisons: Mapping[str, Callable[[Values], bool]]


def without_plain_comparisons(source: str, variables: Mapping[str, Kind]) -> Rewritten:
    """Rewrites a condition that is known to compile. `variables` are those that functions over amounts may be given."""
    tokens = tokens_in(source)
    if any(token.kind == "name" and token.text.rpartition(".")[2] in _BINDING for token in tokens):
        return Rewritten(source, {})
    comparisons: dict[str, Callable[[Values], bool]] = {}
    parts: list[str] = []
    copied = index = 0
    while index < len(tokens):
        function = _FUNCTIONS.get(tokens[index].text) if tokens[index].kind == "name" else None
        call = _call(tokens, index, variables) if function is not None and function.returns is Kind.BOOLEAN else None
        if call is None:
            index += 1
            continue
        name = f"comparison_{len(comparisons) + 1}"
        outcome, following = call
        comparisons[name] = _boolean(outcome)
        end = tokens[following - 1]
        parts += [source[copied : tokens[index].start], name]
        copied, index = end.start + len(end.text), following
    return Rewritten("".join([*parts, source[copied:]]), comparisons)


def _call(tokens: Sequence[Token], index: int, variables: Mapping[str, Kind]) -> tuple[_Argument, int] | None:
    """The call of a function over amounts that begins here, and the token after it; None if it is not a plain one."""
    function = _FUNCTIONS[tokens[index].text]
    arguments: list[_Argument] = []
    index += 1
    for number, kind in enumerate(function.parameters):
        if tokens[index].text != ("," if number else "("):
            return None
        found = _argument(tokens, index + 1, kind, variables)
        if found is None:
            return None
        argument, index = found
        arguments.append(argument)
    if tokens[index].text != ")":
        return None
    run = function.run
    first, second = arguments
    return (lambda values: run(first(values), second(values))), index + 1


def _argument(
    tokens: Sequence[Token], index: int, kind: Kind, variables: Mapping[str, Kind]
) -> tuple[_Argument, int] | None:
    token = tokens[index]
    if token.kind == "text" and kind is Kind.AMOUNT and "\\" not in token.text:
        text = content_of(token.text)
        return (lambda _: text), index + 1
    if token.kind == "number" and kind is Kind.INTEGER and token.text.isdecimal():
        number = int(token.text)
        return (lambda _: number), index + 1
    if token.kind == "name":
        name = "".join(token.text.split())
        if variables.get(name) is kind:
            return (lambda values: values[name]), index + 1
        function = _FUNCTIONS.get(name)
        if function is not None and function.returns is kind:
            return _call(tokens, index, variables)
    return None


def _boolean(outcome: _Argument) -> Callable[[Values], bool]:
    def compare(values: Values) -> bool:
        result = outcome(values)
        assert isinstance(result, bool), "a comparison gives a Boolean"
        return result

    return compare
