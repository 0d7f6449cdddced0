"""The event log and the index of incidents in memory. Held to the same suites as the database's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from tocsin.domain.errors import Refused
from tocsin.incident.events import Declared, Recorded, Reopened
from tocsin.respond.ports import ChainVerdict, IncidentSummary, LogMoved, NewEvent
from tocsin.store.chain import LogRow, chained, empty_chain, export_line, verify_chain
from tocsin.store.moments import in_utc


@dataclass
class _Log:
    summary: IncidentSummary
    rows: list[LogRow] = field(default_factory=list[LogRow])
    recorded: dict[str, Recorded] = field(default_factory=dict[str, Recorded])
    position: int = 0


class MemoryEventLog:
    """`EventLog` and `IncidentIndex` without durability. Gives up control at every call, as a database would.

    Events pass through their JSON form, so they come back exactly as from a database.
    """

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}
        self._position = 0

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        await asyncio.sleep(0)
        return self._append(self._log(incident), events, expected_seq)

    async def read(self, incident: str, after: int = 0, *, limit: int) -> Sequence[Recorded]:
        await asyncio.sleep(0)
        log = self._logs.get(incident)
        return list(log.recorded.values())[after : after + limit] if log is not None else []

    async def head_of_log(self) -> int:
        await asyncio.sleep(0)
        return self._position

    async def changed_since(self, position: int) -> tuple[int, frozenset[str]]:
        await asyncio.sleep(0)
        changed = frozenset(name for name, log in self._logs.items() if log.position > position)
        return max(position, self._position), changed

    async def incidents(self) -> Sequence[IncidentSummary]:
        await asyncio.sleep(0)
        summaries = [log.summary for log in self._logs.values()]
        return sorted(summaries, key=lambda summary: (summary.declared_at, summary.id), reverse=True)

    async def verify(self, incident: str) -> ChainVerdict:
        await asyncio.sleep(0)
        return verify_chain(incident, self._log(incident).rows)

    async def export(self, incident: str) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        for row in self._log(incident).rows:
            yield export_line(row)

    async def open_incident(self, key: str, declared: NewEvent) -> tuple[str, bool]:
        await asyncio.sleep(0)
        event, at = declared.event, in_utc(declared.at)
        assert isinstance(event, Declared)
        assert event.key == key
        standing = self._open_by_key(key)
        if standing is not None:
            return standing, False
        number = 1 + sum(name.startswith(f"INC-{at.year}-") for name in self._logs)
        incident = f"INC-{at.year}-{number:04}"
        self._logs[incident] = _Log(IncidentSummary.of(event, incident=incident, at=at))
        self._append(self._logs[incident], [declared], 0)
        return incident, True

    async def open_by_key(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return self._open_by_key(key)

    def _log(self, incident: str) -> _Log:
        if incident not in self._logs:
            raise Refused("incident-unknown", f"there is no incident {incident}")
        return self._logs[incident]

    def _open_by_key(self, key: str) -> str | None:
        summaries = (log.summary for log in self._logs.values())
        return next((summary.id for summary in summaries if summary.key == key and summary.is_open), None)

    def _append(self, log: _Log, events: Sequence[NewEvent], expected_seq: int | None) -> Sequence[Recorded]:
        incident, seq = log.summary.id, log.summary.last_seq
        missing = {event.key: event for event in reversed(events) if event.key not in log.recorded}
        if missing and expected_seq is not None and seq != expected_seq:
            raise LogMoved(incident, expected_seq=expected_seq, seq=seq)
        if any(isinstance(event.event, Reopened) for event in missing.values()):
            other = self._open_by_key(log.summary.key)
            if other not in (None, incident):
                raise Refused("key-is-open", f"{incident} can't be reopened: {other} is open for the same thing")
        for event in events:
            if event.key in log.recorded:
                continue
            head = log.rows[-1].hash if log.rows else empty_chain(incident).head
            row = chained(incident, log.summary.last_seq + 1, event, head)
            self._position += 1
            log.rows.append(row)
            log.recorded[event.key] = row.recorded()
            log.summary = log.summary.after(log.recorded[event.key])
            log.position = self._position
        return [log.recorded[event.key] for event in events]
