"""How the reflex stands, for people to see from outside the process that serves: one small file in the state folder.

The serving process writes it whole, about once a second; whoever reads it judges by its age whether it still holds.
Nothing is decided by it: what people consented to is in the store, what was fired in the outbox and the event log.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tocsin.reflex.stops import Readiness

STANDING_FILE = "reflex.json"
STANDING_BYTES_MAX = 1 << 20
WRITTEN_EVERY = timedelta(seconds=1)
STALE_AFTER = timedelta(seconds=5)
"""A file that has not been written for this long was left behind by a service that runs no more (or hangs)."""


@dataclass(frozen=True, slots=True)
class StopStanding:
    """A stop: whether it is ready, and until which block its preparation is vouched for (it is renewed before)."""

    name: str
    readiness: Readiness
    armed_until_block: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class PoolStanding:
    """How an endpoint serves as a source of pending transactions; `detail` says why it does not."""

    endpoint: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class LastShot:
    """The newest shot of this process. `reaction_ms`: from the event of the attack to the acceptance of the pause."""

    at: datetime
    stop: str
    attack: str
    tx: str
    reaction_ms: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole of it, as of `at`. `held_back` says why nothing would be fired now; None if it would.

    `blocks_only` says why no pool is watched, so that attacks are seen in blocks only; empty while one is.
    """

    at: datetime
    ended: bool
    height: int | None
    armed_by: tuple[str, ...]
    armed_until: datetime | None
    held_back: str | None
    blocks_only: str
    pool: tuple[PoolStanding, ...]
    stops: tuple[StopStanding, ...]
    shots: int
    last_shot: LastShot | None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    def serves(self, now: datetime) -> bool:
        """Whether a service stands behind it now."""
        return not self.ended and now - self.at < STALE_AFTER


_FORM = TypeAdapter(Standing)


def write_standing(state: Path, standing: Standing) -> None:
    """Replaces the file at once, so that no reader sees half of it; only its owner may read it.

    Raises:
        OSError: the folder can't be written.
    """
    path, new = state / STANDING_FILE, state / f"{STANDING_FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(_FORM.dump_json(standing, indent=1) + b"\n")
    new.replace(path)


def read_standing(state: Path) -> Standing | None:
    """What the file says; None where there is none, or none that this version can read."""
    try:
        with (state / STANDING_FILE).open("rb") as file:
            return _FORM.validate_json(file.read(STANDING_BYTES_MAX))
    except (OSError, ValidationError):
        return None
