"""Leases in the database: who may change a resource now, and a token that grows with every new holder."""

from datetime import timedelta

from sqlalchemy import insert, select, update

from tocsin.domain.clock import Clock
from tocsin.respond.ports import Lease
from tocsin.store.database import Database
from tocsin.store.moments import in_utc
from tocsin.store.tables import leases


class StoredLeases:
    """`Leases` on the database. All processes on one store must have about the same time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def acquire(self, resource: str, holder: str, ttl: timedelta) -> Lease | None:
        async with self._database.writing() as connection:
            now = in_utc(self._clock.now())
            row = (await connection.execute(select(leases).where(leases.c.resource == resource))).one_or_none()
            if row is None:
                lease = Lease(resource, holder, 1, now + ttl)
                await connection.execute(
                    insert(leases).values(resource=resource, holder=holder, token=1, expires_at=lease.expires_at)
                )
                return lease
            held = row.holder is not None and now < row.expires_at
            if held and row.holder != holder:
                return None
            lease = Lease(resource, holder, row.token if held else row.token + 1, now + ttl)
            await connection.execute(
                update(leases)
                .where(leases.c.resource == resource)
                .values(holder=holder, token=lease.token, expires_at=lease.expires_at)
            )
            return lease

    async def renew(self, resource: str, holder: str, ttl: timedelta) -> bool:
        async with self._database.writing() as connection:
            now = in_utc(self._clock.now())
            renewed = await connection.execute(
                update(leases)
                .where(leases.c.resource == resource, leases.c.holder == holder, leases.c.expires_at > now)
                .values(expires_at=now + ttl)
            )
            return renewed.rowcount == 1

    async def release(self, resource: str, holder: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(
                update(leases).where(leases.c.resource == resource, leases.c.holder == holder).values(holder=None)
            )
