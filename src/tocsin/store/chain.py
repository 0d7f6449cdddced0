"""The hash chain of an incident's log: how a row is hashed, how a chain is verified, and its form as JSON lines.

Pure, and enough by itself to verify an export on another machine. The hash covers everything that a row says, with the
event as the exact JSON text that was stored, and the hash before it; the first row's predecessor is made of the
incident's id, so that a log can't pass as another's. What the chain alone can't show is a missing end: for that compare
the head with one that was noted elsewhere.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import reduce
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tocsin.domain.canonical import Json, canonical_bytes, digest
from tocsin.domain.errors import Refused, Unavailable
from tocsin.incident.codec import event_from_json, event_to_json
from tocsin.incident.events import Recorded
from tocsin.respond.ports import ChainVerdict, NewEvent
from tocsin.store.moments import moment_text


@dataclass(frozen=True, slots=True)
class LogRow:
    """An event as it is stored: `at` and `data` are the texts that were hashed."""

    incident: str
    seq: int
    at: str
    principal: str
    key: str
    kind: str
    data: str
    prev_hash: str
    hash: str

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def computed_hash(self) -> str:
        """SHA-256 over the canonical JSON of everything but the hash itself."""
        content: dict[str, Json] = asdict(self)
        del content["hash"]
        return digest(content)

    def recorded(self) -> Recorded:
        """The event that the row stores.

        Raises:
            Unavailable: this version can't read it.
        """
        try:
            event, at = event_from_json(self.kind, json.loads(self.data)), datetime.fromisoformat(self.at)
        except ValueError as error:
            raise Unavailable(
                "event-unreadable",
                f"event {self.seq} of {self.incident} can't be read: {error}",
                next_step="use the version of Tocsin that wrote it, or restore the store from a backup",
            ) from error
        return Recorded(self.incident, self.seq, at, self.principal, self.key, event)


_ROWS = TypeAdapter(LogRow)


def chained(incident: str, seq: int, new: NewEvent, prev_hash: str) -> LogRow:
    """The row that stores `new` as event `seq`, behind the row with `prev_hash`."""
    kind, data = event_to_json(new.event)
    unhashed = LogRow(
        incident=incident,
        seq=seq,
        at=moment_text(new.at),
        principal=new.principal,
        key=new.key,
        kind=kind,
        data=canonical_bytes(data).decode(),
        prev_hash=prev_hash,
        hash="",
    )
    return replace(unhashed, hash=unhashed.computed_hash())


def first_prev_hash(incident: str) -> str:
    """What stands before an incident's first event."""
    return digest(["tocsin event log", incident])


def empty_chain(incident: str) -> ChainVerdict:
    """What a check of the incident's log starts from."""
    return ChainVerdict(incident, 0, first_prev_hash(incident))


def extended(verdict: ChainVerdict, row: LogRow) -> ChainVerdict:
    """The verdict with one more row. What is broken stays broken."""
    if not verdict.holds:
        return verdict
    problem = _problem(verdict, row)
    if problem is not None:
        return replace(verdict, problem=problem)
    return ChainVerdict(verdict.incident, row.seq, row.hash)


def verify_chain(incident: str, rows: Iterable[LogRow]) -> ChainVerdict:
    """Checks that the rows are this incident's log from its beginning, with nothing changed, missing or moved."""
    return reduce(extended, rows, empty_chain(incident))


def export_line(row: LogRow) -> str:
    """The row as one line of an export, without a line end."""
    return canonical_bytes(asdict(row)).decode()


def read_export(lines: Iterable[str]) -> Iterator[LogRow]:
    """The rows of an export; empty lines don't count.

    Raises:
        Refused: a line is not a row of an export.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _row(number, line)


def _row(number: int, line: str) -> LogRow:
    try:
        return _ROWS.validate_json(line, strict=True)
    except ValidationError as error:
        raise Refused(
            "export-unreadable",
            f"line {number} is not a row of an exported log",
            next_step="verify the file as it was exported, unedited",
        ) from error


def _problem(before: ChainVerdict, row: LogRow) -> str | None:
    seq = before.events + 1
    if row.incident != before.incident:
        return f"event {seq} belongs to {row.incident}"
    if row.seq != seq:
        return f"event {seq} is missing: event {row.seq} stands in its place"
    if row.prev_hash != before.head:
        return f"event {seq} does not follow the one before it"
    if row.computed_hash() != row.hash:
        return f"event {seq} was changed after it was recorded"
    return None
