"""Deadlines in the database, one row for each incident, kind and reference."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select

from tocsin.incident.events import DeadlineKind
from tocsin.respond.ports import DueDeadline
from tocsin.store.database import Database
from tocsin.store.tables import deadlines


class StoredDeadlines:
    """`DeadlineStore` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, incident: str, kind: DeadlineKind, reference: str, due_at: datetime) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(deadlines).where(*_names(incident, kind, reference)))
            await connection.execute(
                insert(deadlines).values(incident=incident, kind=kind, reference=reference, due_at=due_at)
            )

    async def clear(self, incident: str, kind: DeadlineKind, reference: str, due_at: datetime | None = None) -> None:
        conditions = _names(incident, kind, reference)
        if due_at is not None:
            conditions = (*conditions, deadlines.c.due_at == due_at)
        async with self._database.writing() as connection:
            await connection.execute(delete(deadlines).where(*conditions))

    async def due(self, now: datetime, limit: int) -> Sequence[DueDeadline]:
        query = (
            select(deadlines)
            .where(deadlines.c.due_at <= now)
            .order_by(deadlines.c.due_at, deadlines.c.incident, deadlines.c.kind, deadlines.c.reference)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [DueDeadline(row.incident, DeadlineKind(row.kind), row.reference, row.due_at) for row in rows]

    async def next_due(self) -> datetime | None:
        async with self._database.reading() as connection:
            return (await connection.execute(select(func.min(deadlines.c.due_at)))).scalar_one()


def _names(incident: str, kind: DeadlineKind, reference: str) -> tuple[ColumnElement[bool], ...]:
    return (deadlines.c.incident == incident, deadlines.c.kind == kind, deadlines.c.reference == reference)
