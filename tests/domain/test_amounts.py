"""Amounts of GAS: integers inside, decimal text outside, nothing lost between."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.domain.amounts import Gas

amounts = st.integers(-(10**37), 10**37).map(Gas)


@pytest.mark.parametrize(
    ("text", "fractions"),
    [
        ("0", 0),
        ("12.5", 1_250_000_000),
        ("0.00000001", 1),
        ("007", 700_000_000),
        (" 3 ", 300_000_000),
        ("-0.5", -50_000_000),
        ("1.000000000000", 100_000_000),
    ],
)
def test_a_decimal_number_of_gas_is_read_exactly(text: str, fractions: int) -> None:
    assert Gas.parse(text) == Gas(fractions)


@pytest.mark.parametrize(
    "text", ["", "-", "1.", ".5", "1e3", "1,5", "+1", "1_000", "0x10", "1 GAS", "١٢", "nan", "1.2.3"]
)
def test_what_is_no_plain_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a decimal number such as"):
        Gas.parse(text)


def test_more_decimals_than_gas_has_are_refused_rather_than_rounded() -> None:
    with pytest.raises(ValueError, match="more than 8 decimals"):
        Gas.parse("0.000000001")


@pytest.mark.parametrize(
    ("fractions", "text"),
    [(0, "0"), (1, "0.00000001"), (1_250_000_000, "12.5"), (10**10, "100"), (-1, "-0.00000001"), (-(10**8), "-1")],
)
def test_text_has_no_trailing_zeros(fractions: int, text: str) -> None:
    assert str(Gas(fractions)) == text


@given(amounts)
@settings(deadline=None)
def test_an_amount_comes_back_from_its_text(amount: Gas) -> None:
    assert Gas.parse(str(amount)) == amount
    assert Fraction(str(amount)) * 10**8 == amount.fractions


@given(amounts, amounts)
@settings(deadline=None)
def test_amounts_reckon_and_compare_as_their_fractions_do(one: Gas, other: Gas) -> None:
    assert one + other - other == one
    assert (one < other, one <= other) == (one.fractions < other.fractions, one.fractions <= other.fractions)
    assert max(one, other).fractions == max(one.fractions, other.fractions)


def test_an_amount_does_not_compare_with_a_number() -> None:
    with pytest.raises(TypeError):
        assert Gas(1) < 2  # pyright: ignore[reportOperatorIssue]
