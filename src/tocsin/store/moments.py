"""Moments as the store keeps them: in UTC, and as one textual form in every table and in what is hashed."""

from datetime import UTC, datetime


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC."""
    assert moment.tzinfo is not None, "moments are aware"
    return moment.astimezone(UTC)


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds: as long for every moment, so that it sorts as text.

    >>> moment_text(datetime(2026, 5, 1, 3, 0, tzinfo=UTC))
    '2026-05-01T03:00:00.000000+00:00'
    """
    return in_utc(moment).isoformat(timespec="microseconds")
