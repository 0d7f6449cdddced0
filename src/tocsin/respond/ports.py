"""What the rooms ask of the store: the event log, the index of incidents, leases, deadlines, runbooks.

Protocols and the values they speak of, no implementation. The store implements them; tests have fakes in memory, and
both are held to the same conformance suites. Whatever a method acknowledges by returning is durable. Every method
raises `Unavailable` when the store can't be used; unless a method says otherwise, repeating it is harmless then.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from tocsin.domain.errors import Refused
from tocsin.incident.events import (
    ClosedAsFalseAlarm,
    DeadlineKind,
    Declared,
    Event,
    Recorded,
    Reopened,
    Resolved,
    SeverityChanged,
)
from tocsin.runbook.model import Severity


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. `key` makes the append repeatable (see `Recorded`); `at` is an aware time."""

    at: datetime
    principal: str
    key: str
    event: Event


class LogMoved(Refused):
    """Somebody else appended in between: read the log again, decide again, and try again. Nothing was appended."""

    def __init__(self, incident: str, *, expected_seq: int, seq: int) -> None:
        super().__init__(
            "log-moved",
            f"the log of {incident} has reached event {seq}, not {expected_seq}",
            next_step="read the log again and decide anew",
            data={"incident": incident, "expected_seq": expected_seq, "seq": seq},
        )


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """A line of the index of incidents: what can be told of an incident without folding its log.

    `last_seq` is the number of its newest event. The index follows from the log and is kept in step with it.
    """

    id: str
    key: str
    emergency: str
    title: str
    severity: Severity
    is_open: bool
    declared_at: datetime
    closed_at: datetime | None
    last_seq: int

    @classmethod
    def of(cls, declared: Declared, *, incident: str, at: datetime) -> "IncidentSummary":
        """The summary of an incident that was declared at this moment and has no event yet."""
        return cls(
            id=incident,
            key=declared.key,
            emergency=declared.emergency,
            title=declared.title,
            severity=declared.severity,
            is_open=True,
            declared_at=at,
            closed_at=None,
            last_seq=0,
        )

    def after(self, recorded: Recorded) -> "IncidentSummary":
        """The summary once this event, the next of its log, has been recorded."""
        assert (recorded.incident, recorded.seq) == (self.id, self.last_seq + 1), "not the next event of this log"
        following = replace(self, last_seq=recorded.seq)
        match recorded.event:
            case Resolved() | ClosedAsFalseAlarm():
                return replace(following, is_open=False, closed_at=recorded.at)
            case Reopened():
                return replace(following, is_open=True, closed_at=None)
            case SeverityChanged(severity=severity):
                return replace(following, severity=severity)
            case _:
                return following


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """What a check of an incident's hash chain found.

    `events` counts the events that hold, from the first; `head` is the hash of the last of them. `problem` is a
    sentence about the event after it, None if the whole log holds.
    """

    incident: str
    events: int
    head: str
    problem: str | None = None

    @property
    def holds(self) -> bool:
        return self.problem is None


class EventLog(Protocol):
    """The one truth about incidents: append only, each incident's events numbered from 1 and chained by hash."""

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        """Appends the events in order, all or none, and returns them as they stand in the log.

        An event whose key the incident's log has already is not appended again: the standing one is returned. Events
        that close or reopen the incident change the index in the same transaction.

        Args:
            expected_seq: the number of the newest event that the caller has seen; None appends whatever stands there.

        Raises:
            LogMoved: something is to be appended and the log is not at `expected_seq`.
            Refused: there is no such incident, or it would be reopened while another one is open under its key.
        """
        ...

    async def read(self, incident: str, after: int = 0, *, limit: int) -> Sequence[Recorded]:
        """At most `limit` events of the incident with numbers above `after`, in order; none for an unknown incident."""
        ...

    async def head_of_log(self) -> int:
        """The global position of the newest event; 0 while the log is empty. Each event's position is one higher."""
        ...

    async def changed_since(self, position: int) -> tuple[int, frozenset[str]]:
        """The incidents that got events after this global position, and the position to ask from next time.

        Cheap enough to poll. The set is bounded: what does not fit into one answer comes with the next one.
        """
        ...

    async def incidents(self) -> Sequence[IncidentSummary]:
        """All incidents, the newest first."""
        ...

    async def verify(self, incident: str) -> ChainVerdict:
        """Checks the hash chain of the incident, and that it reaches as far as the index says.

        Raises:
            Refused: there is no such incident.
        """
        ...

    def export(self, incident: str) -> AsyncIterator[str]:
        """The incident's log as JSON lines (without line ends), which can be verified offline.

        Raises:
            Refused: there is no such incident.
        """
        ...


class IncidentIndex(Protocol):
    """Which incidents there are, and which one is open for what."""

    async def open_incident(self, key: str, declared: NewEvent) -> tuple[str, bool]:
        """Opens an incident with its first event in one transaction, unless one is open under this key.

        However many callers declare the same at once, one incident is opened and all of them get its id. Ids count
        within the year of the declaration: INC-2026-0001.

        Args:
            key: what the incident is about; the same as in the event.
            declared: carries a `Declared`.

        Returns: the id of the open incident, and whether it was opened now.
        """
        ...

    async def open_by_key(self, key: str) -> str | None:
        """The incident that is open under this key."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change a resource until `expires_at`.

    `token` grows with every new holder of the resource, so that a holder who slept through its expiry can be told
    from the present one.
    """

    resource: str
    holder: str
    token: int
    expires_at: datetime


class Leases(Protocol):
    """Who may change a resource now, across processes."""

    async def acquire(self, resource: str, holder: str, ttl: timedelta) -> Lease | None:
        """Leases the resource for `ttl` from now; None while somebody else holds it.

        An expired lease is taken over. A holder that asks again keeps its token and gets the new expiry.
        """
        ...

    async def renew(self, resource: str, holder: str, ttl: timedelta) -> bool:
        """Extends the lease to `ttl` from now; False if the holder does not hold it (any more)."""
        ...

    async def release(self, resource: str, holder: str) -> None:
        """Gives the lease back; nothing happens if the holder does not hold it."""
        ...


@dataclass(frozen=True, slots=True)
class DueDeadline:
    """A deadline as the store keeps it."""

    incident: str
    kind: DeadlineKind
    reference: str
    due_at: datetime


class DeadlineStore(Protocol):
    """Deadlines as rows, so that a restart loses none."""

    async def set(self, incident: str, kind: DeadlineKind, reference: str, due_at: datetime) -> None:
        """Keeps this deadline in place of any other of this incident, kind and reference."""
        ...

    async def clear(self, incident: str, kind: DeadlineKind, reference: str, due_at: datetime | None = None) -> None:
        """Forgets the deadline, if there is one; with `due_at` only if it is due then (it may have been moved)."""
        ...

    async def due(self, now: datetime, limit: int) -> Sequence[DueDeadline]:
        """At most `limit` deadlines whose moment has come, the oldest first. They stay until they are cleared."""
        ...

    async def next_due(self) -> datetime | None:
        """When the earliest deadline is (or was) due."""
        ...


@dataclass(frozen=True, slots=True)
class AcceptanceRow:
    """A principal's signed acceptance of a runbook. `needed` is how many principals had to accept it."""

    principal: str
    signature: str
    at: datetime
    needed: int


class RunbookStore(Protocol):
    """Runbooks by hash, and who accepted them."""

    async def keep(self, hash_: str, text: str, file: str) -> None:
        """Keeps the text of a runbook; one that is kept already stays as it is."""
        ...

    async def text(self, hash_: str) -> tuple[str, str] | None:
        """The runbook's text and the name of its file."""
        ...

    async def accept(self, hash_: str, principal: str, signature: str, at: datetime, *, needed: int) -> None:
        """Records an acceptance; a principal counts once.

        A runbook that was completely accepted and then replaced by another is accepted afresh, with `needed` people:
        going back to an old text is a change like any other.

        Raises:
            Refused: no runbook with this hash is kept.
        """
        ...

    async def acceptances(self, hash_: str) -> Sequence[AcceptanceRow]:
        """Who has accepted the runbook (in its latest round of acceptance), in order; all have the same `needed`."""
        ...

    async def newest_first(self) -> Sequence[str]:
        """The hashes of completely accepted runbooks, the one whose acceptance was completed last first."""
        ...


class SeenDetections(Protocol):
    """Which detections were delivered, so that one that is made again is known."""

    async def record(self, detection: str) -> bool:
        """Remembers the detection's id; True the first time.

        A caller that crashes between recording and delivering has lost the detection: deliver idempotently, then
        record.
        """
        ...
