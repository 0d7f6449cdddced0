"""Amounts in conditions: exact, checked when they are written down, and found again for whoever draws them."""

import gc
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.detect.amount_functions import FUNCTIONS
from tocsin.detect.conditions import Condition, VariableType
from tocsin.domain.amounts import Gas
from tocsin.domain.errors import ConfigurationInvalid

NAMES = {
    "sum": VariableType.AMOUNT,
    "hour.sum": VariableType.AMOUNT,
    "count": VariableType.INTEGER,
    "who": VariableType.TEXT,
}
RUN = {function.name: function.run for function in FUNCTIONS}
amounts = st.integers(-(2**256), 2**256).map(lambda fractions: str(Gas(fractions)))


def condition(source: str) -> Condition:
    compiled = Condition(source, NAMES, "rule r")
    compiled.check_amounts()
    return compiled


@settings(deadline=None)
@given(amounts, amounts, st.integers(-(2**63), 2**63 - 1))
def test_arithmetic_is_exact_to_256_bits(a: str, b: str, times: int) -> None:
    assert Fraction(str(RUN["amount_add"](a, b))) == Fraction(a) + Fraction(b)
    assert Fraction(str(RUN["amount_sub"](a, b))) == Fraction(a) - Fraction(b)
    assert Fraction(str(RUN["amount_mul"](a, times))) == Fraction(a) * times
    assert Fraction(str(RUN["amount_percent"](a, times))) == Fraction(a) * times / 100
    assert Fraction(str(RUN["amount_min"](a, b))) == min(Fraction(a), Fraction(b))
    assert Fraction(str(RUN["amount_max"](a, b))) == max(Fraction(a), Fraction(b))


def test_arithmetic_can_be_used_in_conditions() -> None:
    of_balance = condition('amount_gt(sum, amount_percent(amount_add(hour.sum, "50"), 10))')
    assert of_balance.holds_given({"sum": "15.00000001", "hour.sum": "100"})
    assert not of_balance.holds_given({"sum": "15", "hour.sum": "100"})


@pytest.mark.parametrize("amount", ["1e200", "1e-200", "9" * 121, "NaN", "-Infinity", "five", ""])
def test_what_is_no_amount_or_beyond_all_amounts_is_an_error(amount: str) -> None:
    with pytest.raises(ValueError, match="rule r: "):
        Condition("amount_gt(amount_add(sum, sum), sum)", NAMES, "rule r").holds_given({"sum": amount})


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ('amount_gt(sum, "5O")', "condition:1:16: '5O'"),
        ("count > 1 &&\n  amount_lt(\n'1,5', sum)", "condition:3:1: '1,5'"),
        ('amount_gt(sum, amount_add("1", "x"))', "condition:1:32: 'x'"),
        ('amount_gt(amount_percent("ten", 5), sum)', "condition:1:26: 'ten'"),
        ('amount_ge(sum, "1") || amount_ge(hour.sum, """1 GAS""")', "condition:1:44: '1 GAS'"),
    ],
)
def test_an_amount_that_is_none_is_refused_with_its_place(source: str, place: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        condition(source)
    assert place in refused.value.message


@pytest.mark.parametrize(
    "source",
    [
        'who == "five" && amount_gt(sum, "5")',
        'amount_gt(sum, who == "five" ? "1" : "2")',
        'who in ["amount_gt(", "x"] // amount_gt(sum, "x")',
        'amount_gt(sum, {"x": "1"}["x"])',
        'amount_gt(sum, ["1", "2"][count])',
    ],
)
def test_other_texts_are_left_alone(source: str) -> None:
    condition(source)


def test_a_condition_knows_what_it_depends_on() -> None:
    assert condition('amount_gt(hour . sum, "1") && true').mentions == {"hour.sum"}
    assert condition("[1, 2].exists(count, count > 1)").mentions == frozenset()
    assert condition('who == "sum" && count > 1').mentions == {"who", "count"}


# Comparisons are made before a condition is evaluated, where that means the same.


def called(parts: tuple[str, ...]) -> str:
    function, *arguments = parts
    return f"{function}({', '.join(arguments)})"


TEXTS = st.sampled_from(['"5"', "'0.1'", '"-3"', '"oops"', "sum", "hour . sum", "who"])
INTEGERS = st.sampled_from(["2", "count", "-1", "count + 1"])
AMOUNTS = st.recursive(
    TEXTS,
    lambda inner: (
        st.tuples(st.sampled_from(["amount_add", "amount_sub", "amount_min"]), inner, inner).map(called)
        | st.tuples(st.sampled_from(["amount_mul", "amount_percent"]), inner, INTEGERS).map(called)
        | inner.map(lambda text: f"(count > 1 ? {text} : '7')")
    ),
    max_leaves=4,
)
COMPARISONS = st.tuples(st.sampled_from(["amount_gt", "amount_ge", "amount_lt", "amount_le"]), AMOUNTS, AMOUNTS)
CONDITIONS = st.recursive(
    COMPARISONS.map(called) | st.sampled_from(["count > 1", 'who == "amount_gt(sum, sum)"']),
    lambda inner: (
        st.tuples(inner, st.sampled_from([" && ", " ||\n", " == "]), inner).map(lambda p: f"(({p[0]}){p[1]}({p[2]}))")
        | inner.map(lambda text: f"!({text}) // amount_gt(\n")
        | inner.map(lambda text: f'["4", "x"].exists(sum, {text})')
    ),
    max_leaves=4,
)
VALUES = st.fixed_dictionaries(
    {
        "sum": st.sampled_from(["0", "5", "12.5"]),
        "hour.sum": st.sampled_from(["5", "0.10"]),
        "count": st.integers(0, 3),
        "who": st.sampled_from(["3", "nobody"]),
    }
)


def outcome(evaluate: Callable[[], bool]) -> bool | None:
    try:
        return evaluate()
    except ValueError:
        return None


@settings(deadline=None, max_examples=100)
@given(CONDITIONS, VALUES)
def test_a_condition_means_what_it_means_to_cel(source: str, values: dict[str, str | int]) -> None:
    compiled = Condition(source, NAMES, "rule r")
    assert outcome(lambda: compiled.holds_given(values)) == outcome(
        lambda: compiled._evaluated(compiled._program, dict(values))
    )


def test_evaluating_conditions_for_ever_takes_no_memory() -> None:
    compiled = condition('!(who == "me") && (amount_ge(hour.sum, "50") || amount_gt(sum, amount_mul(sum, count)))')

    def evaluate(times: int) -> None:
        for number in range(times):
            compiled.holds_given({"who": "you", "sum": str(10**12 + number), "hour.sum": "49", "count": 2})

    evaluate(5_000)  # what is remembered on purpose is remembered by then
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        evaluate(20_000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()


def test_thresholds_are_found_where_they_are_plain() -> None:
    found = condition(
        'amount_ge(sum, "50") || amount_gt(hour.sum, "1e3") || amount_lt(sum, "2") || amount_gt("7", sum) '
        '|| amount_gt(sum, amount_add("1", "2"))'
    ).thresholds
    assert [(t.variable, t.amount) for t in found] == [("sum", Decimal(50)), ("hour.sum", Decimal(1000))]
