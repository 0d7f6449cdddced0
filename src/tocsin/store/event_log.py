"""The event log in the database: appending under the chain, reading, and telling who has changed.

One transaction holds an append whole: the rows, the index line of the incident, and the global position.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.domain.errors import Refused
from tocsin.incident.events import Recorded, Reopened
from tocsin.respond.ports import ChainVerdict, IncidentSummary, LogMoved, NewEvent
from tocsin.runbook.model import Severity
from tocsin.store.chain import LogRow, chained, empty_chain, export_line, extended
from tocsin.store.database import Database
from tocsin.store.tables import counters, events, incidents

LOG_COUNTER = "log"
CHANGED_MAX = 1000
"""Incidents in one answer of `changed_since`."""
_PAGE_ROWS = 500
_ROW_COLUMNS = tuple(column for column in events.c if column is not events.c.position)
_KEYS_PER_QUERY = 500
"""Well below the number of variables that SQLite takes in a statement."""


class StoredEventLog:
    """`EventLog` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(
        self, incident: str, events: Sequence[NewEvent], *, expected_seq: int | None
    ) -> Sequence[Recorded]:
        async with self._database.writing() as connection:
            return await append_within(connection, incident, events, expected_seq=expected_seq)

    async def read(self, incident: str, after: int = 0, *, limit: int) -> Sequence[Recorded]:
        async with self._database.reading() as connection:
            rows = await _rows(connection, incident, after, limit)
        return [row.recorded() for row in rows]

    async def head_of_log(self) -> int:
        async with self._database.reading() as connection:
            return await counter(connection, LOG_COUNTER)

    async def changed_since(self, position: int) -> tuple[int, frozenset[str]]:
        query = (
            select(incidents.c.id, incidents.c.last_position)
            .where(incidents.c.last_position > position)
            .order_by(incidents.c.last_position)
            .limit(CHANGED_MAX)
        )
        async with self._database.reading() as connection:
            changed = (await connection.execute(query)).all()
        return (changed[-1].last_position if changed else position), frozenset(row.id for row in changed)

    async def incidents(self) -> Sequence[IncidentSummary]:
        query = select(incidents).order_by(incidents.c.declared_at.desc(), incidents.c.id.desc())
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        return [_summary(row) for row in found]

    async def verify(self, incident: str) -> ChainVerdict:
        verdict = empty_chain(incident)
        async with self._database.reading() as connection:
            standing = await _standing(connection, incident)
            while verdict.holds and (rows := await _rows(connection, incident, verdict.events, _PAGE_ROWS)):
                for row in rows:
                    verdict = extended(verdict, row)
        if verdict.holds and (verdict.events, verdict.head) != (standing.summary.last_seq, standing.last_hash):
            problem = f"the log ends with event {verdict.events}, but event {standing.summary.last_seq} was recorded"
            return ChainVerdict(incident, verdict.events, verdict.head, problem)
        return verdict

    async def export(self, incident: str) -> AsyncIterator[str]:
        async with self._database.reading() as connection:
            await _standing(connection, incident)
        seq = 0
        # A page a transaction: whoever reads the export slowly holds nothing up, and the log only grows.
        while rows := await self._page(incident, seq):
            for row in rows:
                yield export_line(row)
            seq = rows[-1].seq

    async def _page(self, incident: str, after: int) -> Sequence[LogRow]:
        async with self._database.reading() as connection:
            return await _rows(connection, incident, after, _PAGE_ROWS)


async def append_within(
    connection: AsyncConnection, incident: str, new: Sequence[NewEvent], *, expected_seq: int | None
) -> Sequence[Recorded]:
    """Appends in a write transaction that the caller has begun; see `EventLog.append`."""
    before = await _standing(connection, incident)
    recorded = {row.key: row.recorded() for row in await _rows_with_keys(connection, incident, [n.key for n in new])}
    missing: dict[str, NewEvent] = {}
    for event in new:
        if event.key not in recorded:
            missing.setdefault(event.key, event)
    if missing and expected_seq is not None and before.summary.last_seq != expected_seq:
        raise LogMoved(incident, expected_seq=expected_seq, seq=before.summary.last_seq)

    after, rows = before, list[LogRow]()
    for event in missing.values():
        row = chained(incident, after.summary.last_seq + 1, event, after.last_hash)
        recorded[event.key] = row.recorded()
        after = _Standing(after.summary.after(recorded[event.key]), row.hash)
        rows.append(row)
        if isinstance(event.event, Reopened):
            await _refuse_second_open(connection, after.summary)
    if rows:
        position = await counter(connection, LOG_COUNTER)
        numbered = [{"position": position + n, **asdict(row)} for n, row in enumerate(rows, start=1)]
        await connection.execute(insert(events), numbered)
        await set_counter(connection, LOG_COUNTER, position + len(rows))
        await connection.execute(
            update(incidents)
            .where(incidents.c.id == incident)
            .values(**asdict(after.summary), last_hash=after.last_hash, last_position=position + len(rows))
        )
    return [recorded[event.key] for event in new]


async def insert_incident(connection: AsyncConnection, summary: IncidentSummary) -> None:
    """Adds the index line of an incident that has no event yet."""
    head = empty_chain(summary.id).head
    await connection.execute(insert(incidents).values(**asdict(summary), last_hash=head, last_position=0))


async def open_incident_id(connection: AsyncConnection, key: str) -> str | None:
    """The incident that is open under this key."""
    query = select(incidents.c.id).where(incidents.c.key == key, incidents.c.is_open)
    return (await connection.execute(query)).scalar_one_or_none()


async def counter(connection: AsyncConnection, name: str) -> int:
    """Where the counter stands; 0 before its first use."""
    found = await connection.execute(select(counters.c.value).where(counters.c.name == name))
    return found.scalar_one_or_none() or 0


async def set_counter(connection: AsyncConnection, name: str, value: int) -> None:
    """Moves the counter. Only the one writer of the moment may do that, after reading it in the same transaction."""
    moved = await connection.execute(update(counters).where(counters.c.name == name).values(value=value))
    if moved.rowcount == 0:
        await connection.execute(insert(counters).values(name=name, value=value))


@dataclass(frozen=True, slots=True)
class _Standing:
    summary: IncidentSummary
    last_hash: str


async def _standing(connection: AsyncConnection, incident: str) -> _Standing:
    row = (await connection.execute(select(incidents).where(incidents.c.id == incident))).mappings().one_or_none()
    if row is None:
        raise Refused("incident-unknown", f"there is no incident {incident}", next_step="`tocsin incidents` lists them")
    return _Standing(_summary(row), row["last_hash"])


def _summary(row: RowMapping) -> IncidentSummary:
    return IncidentSummary(
        id=row["id"],
        key=row["key"],
        emergency=row["emergency"],
        title=row["title"],
        severity=Severity(row["severity"]),
        is_open=row["is_open"],
        declared_at=row["declared_at"],
        closed_at=row["closed_at"],
        last_seq=row["last_seq"],
    )


async def _refuse_second_open(connection: AsyncConnection, reopened: IncidentSummary) -> None:
    other = await open_incident_id(connection, reopened.key)
    if other is not None and other != reopened.id:
        raise Refused(
            "key-is-open",
            f"{reopened.id} can't be reopened: {other} is open for the same thing",
            next_step=f"go on in {other}, and note {reopened.id} there",
        )


async def _rows(connection: AsyncConnection, incident: str, after: int, limit: int) -> Sequence[LogRow]:
    query = (
        select(*_ROW_COLUMNS)
        .where(events.c.incident == incident, events.c.seq > after)
        .order_by(events.c.seq)
        .limit(limit)
    )
    return [LogRow(*row) for row in await connection.execute(query)]


async def _rows_with_keys(connection: AsyncConnection, incident: str, keys: Sequence[str]) -> Sequence[LogRow]:
    found: list[LogRow] = []
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        some = keys[start : start + _KEYS_PER_QUERY]
        query = select(*_ROW_COLUMNS).where(events.c.incident == incident, events.c.key.in_(some))
        found += [LogRow(*row) for row in await connection.execute(query)]
    return found
