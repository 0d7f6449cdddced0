"""Runbooks in the database, by hash, with who accepted them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.domain.errors import Refused
from tocsin.respond.ports import AcceptanceRow
from tocsin.store.acceptance import Given, latest_round, newest_first, with_acceptance
from tocsin.store.database import Database
from tocsin.store.tables import acceptances, runbooks


class StoredRunbooks:
    """`RunbookStore` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, hash_: str, text: str, file: str) -> None:
        async with self._database.writing() as connection:
            if await _text(connection, hash_) is None:
                await connection.execute(insert(runbooks).values(hash=hash_, text=text, file=file))

    async def text(self, hash_: str) -> tuple[str, str] | None:
        async with self._database.reading() as connection:
            return await _text(connection, hash_)

    async def accept(self, hash_: str, principal: str, signature: str, at: datetime, *, needed: int) -> None:
        async with self._database.writing() as connection:
            if await _text(connection, hash_) is None:
                raise Refused(
                    "runbook-missing", f"the store has no runbook {hash_[:12]}", next_step="keep it before accepting it"
                )
            row = AcceptanceRow(principal, signature, at, needed)
            given = with_acceptance(await _given(connection), hash_, row)
            if given is not None:
                await connection.execute(
                    insert(acceptances).values(
                        hash=given.hash,
                        round=given.round,
                        principal=given.row.principal,
                        signature=given.row.signature,
                        at=given.row.at,
                        needed=given.row.needed,
                    )
                )

    async def acceptances(self, hash_: str) -> Sequence[AcceptanceRow]:
        async with self._database.reading() as connection:
            return latest_round(await _given(connection), hash_)

    async def newest_first(self) -> Sequence[str]:
        async with self._database.reading() as connection:
            return newest_first(await _given(connection))


async def _text(connection: AsyncConnection, hash_: str) -> tuple[str, str] | None:
    row = (await connection.execute(select(runbooks).where(runbooks.c.hash == hash_))).one_or_none()
    return None if row is None else (row.text, row.file)


async def _given(connection: AsyncConnection) -> Sequence[Given]:
    """All acceptances in order. People give them, so there are few."""
    rows = await connection.execute(select(acceptances).order_by(acceptances.c.id))
    return [Given(r.hash, r.round, AcceptanceRow(r.principal, r.signature, r.at, r.needed)) for r in rows]
