"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.runbook.durations import looks_like_time, time_span
from tocsin.runbook.model import Budget


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15 min", 900),
        ("5 minutes", 300),
        ("1 hour", 3600),
        ("24 Hours", 86400),
        ("30s", 30),
        ("2 days", 172800),
        ("Within 2 hours", 7200),
        ("~ 10 min", 600),
        ("up to 1.5 hours", 5400),
        ("1h30m", 5400),
        ("1 hour and 30 minutes", 5400),
        ("1 hour, 30 min.", 5400),
    ],
)
def test_one_duration(text: str, seconds: int) -> None:
    assert time_span(text) == Budget(timedelta(seconds=seconds), timedelta(seconds=seconds))


@pytest.mark.parametrize("text", ["1-4 hours", "1\u20134 hours", "1 to 4 hours", "1 h - 4 h", "60 min \u2014 4 hours"])
def test_a_range_keeps_both_ends(text: str) -> None:
    assert time_span(text) == Budget(timedelta(hours=1), timedelta(hours=4))


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "5", "minutes", "5 minuts", "0 minutes", "-5 minutes", "4-1 hours", "1-4", "367 days"),
        *("1 hour later", "9" * 400 + " min", "5 minutes " * 50),
    ],
)
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        time_span(text)


@pytest.mark.parametrize("text", ["5 minuts", "1-4 huors", "10x"])
def test_a_mistyped_time_still_looks_like_one(text: str) -> None:
    assert looks_like_time(text)


@pytest.mark.parametrize("text", ["if critical", "2 of 3 signers", "all apps", ""])
def test_other_text_does_not_look_like_a_time(text: str) -> None:
    assert not looks_like_time(text)


@given(st.text(max_size=100))
def test_any_text_is_a_duration_in_bounds_or_a_value_error(text: str) -> None:
    try:
        span = time_span(text)
    except ValueError:
        return
    assert timedelta() < span.least <= span.most <= timedelta(days=366)
