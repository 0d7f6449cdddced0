"""The outbox in the database: signed transactions, the first writer of a key wins, outcomes are final."""

from collections.abc import Sequence

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.connect.ports import OutboxEntry, OutboxStatus
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import TxHash
from tocsin.store.database import Database
from tocsin.store.tables import outbox


class StoredOutbox:
    """`Outbox` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, entry: OutboxEntry) -> OutboxEntry:
        async with self._database.writing() as connection:
            standing = await _entry(connection, entry.key)
            if standing is not None:
                return standing
            await connection.execute(
                insert(outbox).values(
                    key=entry.key,
                    tx=entry.tx,
                    raw=entry.raw,
                    valid_until_block=entry.valid_until_block,
                    purpose=entry.purpose,
                    created_at=entry.created_at,
                    status=entry.status,
                    height=entry.height,
                )
            )
        return entry

    async def get(self, key: str) -> OutboxEntry | None:
        async with self._database.reading() as connection:
            return await _entry(connection, key)

    async def settle(self, key: str, status: OutboxStatus, height: int | None) -> None:
        async with self._database.writing() as connection:
            standing = await _entry(connection, key)
            if standing is None:
                raise Refused("outbox-key-unknown", f"nothing stands in the outbox under {key}")
            if (standing.status, standing.height) == (status, height):
                return
            if standing.status is not OutboxStatus.STORED:
                raise Refused(
                    "outbox-settled",
                    f"{key} was settled as {standing.status} before, and can't become {status}",
                    next_step=f"look {standing.tx} up on the chain",
                    data={"key": key, "tx": standing.tx, "status": standing.status, "height": standing.height},
                )
            await connection.execute(update(outbox).where(outbox.c.key == key).values(status=status, height=height))

    async def unsettled(self) -> Sequence[OutboxEntry]:
        query = select(outbox).where(outbox.c.status == OutboxStatus.STORED).order_by(outbox.c.created_at, outbox.c.key)
        async with self._database.reading() as connection:
            return [_from_row(row) for row in await connection.execute(query)]


async def _entry(connection: AsyncConnection, key: str) -> OutboxEntry | None:
    row = (await connection.execute(select(outbox).where(outbox.c.key == key))).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: Row[tuple[object, ...]]) -> OutboxEntry:
    return OutboxEntry(
        key=row.key,
        tx=TxHash(row.tx),
        raw=row.raw,
        valid_until_block=row.valid_until_block,
        purpose=row.purpose,
        created_at=row.created_at,
        status=OutboxStatus(row.status),
        height=row.height,
    )
