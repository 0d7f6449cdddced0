"""Durations as people write them in a runbook: "15 min", "Within 2 hours", "1-4 hours", "1 hour 30 minutes".

Knows text and time only; where the text stands, and what to say when it can't be read, is the caller's business.
"""

import re
from datetime import timedelta
from decimal import Decimal

from tocsin.runbook.model import Budget

DURATION_DAYS_MAX = 366
_TEXT_CHARACTERS_MAX = 80  # longer is prose, and not worth the patterns' time

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNITS = {
    name: _SECONDS[name[0]]
    for name in (
        *("s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes"),
        *("h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "week", "weeks"),
    )
}
_DASH = "[-\u2013\u2014]"  # hyphen, en dash, em dash
_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,3})?"
_AMOUNT = re.compile(rf"({_NUMBER})\s*([a-z]+)\.?(?:\s*(?:,|and\b)?\s*)")
_RANGE = re.compile(rf"(?P<least>.+?)\s*(?:{_DASH}|\bto\b)\s*(?P<most>.+)")
_BARE = re.compile(_NUMBER)
_LEADING_WORDS = re.compile(r"(?:within|about|around|approximately|under|less than|up to|at most|max\.?|[~≈<≤])\s*")
_TIME_LIKE = re.compile(rf"(?:{_NUMBER})(?:\s*{_DASH}\s*{_NUMBER})?\s*\+?\s*[a-z]+\.?")


def time_span(text: str) -> Budget:
    """Reads one duration, or a range of two; a single one has `least == most`.

    Raises:
        ValueError: not a duration, not above zero, longer than a year, or a range that runs backwards.
    """
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise ValueError(f"{text[:40]!r}… is too long for a duration")
    words = text.strip().casefold()
    words = words[match.end() :] if (match := _LEADING_WORDS.match(words)) else words
    if (both := _RANGE.fullmatch(words)) is None:
        duration = _duration(words)
        return Budget(duration, duration)
    least, most = both["least"], both["most"]
    if _BARE.fullmatch(least):  # "1-4 hours": the unit is said once
        unit = re.search(r"[a-z]+", most)
        least = f"{least} {unit[0] if unit else ''}"
    budget = Budget(_duration(least), _duration(most))
    if budget.least > budget.most:
        raise ValueError(f"{text!r} runs backwards: write the shorter time first")
    return budget


def looks_like_time(text: str) -> bool:
    """Whether this is a number and one word, so that it is probably meant as a duration even if mistyped."""
    return len(text) <= _TEXT_CHARACTERS_MAX and _TIME_LIKE.fullmatch(text.strip().casefold()) is not None


def _duration(words: str) -> timedelta:
    seconds, at = Decimal(0), 0
    while at < len(words):
        match = _AMOUNT.match(words, at)
        if match is None or match[2] not in _UNITS:
            break
        seconds += Decimal(match[1]) * _UNITS[match[2]]
        at = match.end()
    if at < len(words) or not words:
        raise ValueError(f"{words!r} is no duration: write a number and seconds, minutes, hours or days")
    if not 0 < seconds <= DURATION_DAYS_MAX * 86400:
        raise ValueError(f"{words!r} is out of bounds: more than nothing and at most {DURATION_DAYS_MAX} days")
    return timedelta(seconds=float(seconds))
