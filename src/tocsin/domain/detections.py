"""A detection: a rule that fired, with its evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tocsin.domain.canonical import Json


@dataclass(frozen=True, slots=True)
class Detection:
    """A rule fired.

    `id` is the same for the same observation however often it is made (a replayed block gives no second detection).
    `key` says what the detection is about: detections with the key of an open incident join it. `height` is the block
    that showed it, None for what no block shows.
    """

    id: str
    rule: str
    emergency: str
    symptom: str
    key: str
    summary: str
    observed_at: datetime
    height: int | None
    evidence: Mapping[str, Json]
