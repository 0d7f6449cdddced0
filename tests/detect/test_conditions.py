"""Conditions: what is wrong with one is said when it is loaded; what goes wrong later is never taken for silence."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.detect.conditions import Condition, Value, VariableType
from tocsin.detect.outflow import VARIABLES
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import ConfigurationInvalid

NAMES: Mapping[str, VariableType] = {
    "sum": VariableType.AMOUNT,
    "count": VariableType.INTEGER,
    "known": VariableType.BOOLEAN,
    "who": VariableType.TEXT,
}
VALUES: Mapping[str, Value] = {"sum": "12.5", "count": 3, "known": False, "who": "vault"}
GREATER = Condition("amount_gt(a, b)", {"a": VariableType.AMOUNT, "b": VariableType.AMOUNT}, "rule r")


def holds(source: str, **values: Value) -> bool:
    return Condition(source, NAMES, "rule gas-outflow").holds({**VALUES, **values})


def refusal(source: str) -> ConfigurationInvalid:
    with pytest.raises(ConfigurationInvalid) as refused:
        Condition(source, NAMES, "rule gas-outflow")
    return refused.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("true", True),
        ("count > 2 && !known", True),
        ("known || count == 4", False),
        ("who in ['vault', 'hub']", True),
        ('amount_gt(sum, "12.5")', False),
        ('amount_ge(sum, "12.50")', True),
        ('amount_lt(sum, "12.51")', True),
        ('amount_le(sum, "12.49")', False),
    ],
)
def test_a_condition_is_evaluated(source: str, expected: bool) -> None:
    assert holds(source) is expected


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("count >", "1:8"),
        ("count > 'three'", "1:7"),
        ("known &&\n  cuont > 3", "2:3"),
        ('amount_gt(count, "5")', "1:10"),
        ("sum > 100", "1:5"),
        ("count.size > 1", "1:6"),
        ("", "1:1"),
    ],
)
def test_a_condition_that_can_not_be_used_is_refused_with_rule_position_and_what_it_may_use(
    source: str, where: str
) -> None:
    refused = refusal(source)
    assert refused.code == "condition-invalid"
    assert refused.message.startswith("rule gas-outflow: ")
    assert f":{where}:" in refused.message
    assert "sum (amount), count (integer), known (boolean), who (text)" in refused.next_step


@pytest.mark.parametrize("source", ["count + 1", "who", "dyn(known)", "[known]"])
def test_a_condition_must_say_yes_or_no(source: str) -> None:
    assert refusal(source).code == "condition-not-boolean"


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("10 / (count - 3) > 1", {}),
        ('amount_gt(sum, "much")', {}),
        ('amount_gt(sum, "NaN")', {}),
        ('amount_gt(sum, "Infinity")', {}),
        ("amount_gt(sum, who)", {"who": "9" * 121}),
        ("count > 3", {"count": 2**64}),
        ("who == 'vault'", {"who": "\ud800"}),
    ],
)
def test_an_evaluation_that_fails_is_an_error_and_neither_yes_nor_no(source: str, values: dict[str, Value]) -> None:
    with pytest.raises(ValueError, match="rule gas-outflow: "):
        holds(source, **values)


def test_every_variable_must_have_a_value() -> None:
    with pytest.raises(AssertionError):
        Condition("known", NAMES, "rule r").holds({"known": True})


fractions = st.integers(-(2**255), 2**255)


@settings(deadline=None)
@given(fractions, fractions | st.sampled_from([0, 1, -1]))
def test_amounts_compare_exactly_beyond_sixty_four_bits(one: int, difference: int) -> None:
    other = one + difference
    assert GREATER.holds({"a": str(Gas(one)), "b": str(Gas(other))}) is (one > other)


def test_neighbours_beyond_sixty_four_bits_are_told_apart() -> None:
    large = 2**200
    assert GREATER.holds({"a": str(Gas(large + 1)), "b": str(Gas(large))})
    assert not GREATER.holds({"a": str(Gas(large)), "b": str(Gas(large))})


def test_the_documented_condition_of_the_outflow_rule_can_be_used() -> None:
    Condition('!recipient_known && (amount_ge(sum, "100") || share_percent >= 10)', VARIABLES, "rule r")
