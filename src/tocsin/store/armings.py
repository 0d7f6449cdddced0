"""Acts of arming and disarming in the database."""

from collections.abc import Sequence

from sqlalchemy import insert, select

from tocsin.reflex.arming import ArmingRow
from tocsin.store.database import Database
from tocsin.store.tables import armings


class StoredArmings:
    """`Armings` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, row: ArmingRow) -> None:
        async with self._database.writing() as connection:
            await connection.execute(
                insert(armings).values(
                    principal=row.principal,
                    at=row.at,
                    plan_hash=row.plan_hash,
                    expires_at=row.expires_at,
                    signature=row.signature,
                    reason=row.reason,
                )
            )

    async def all(self) -> Sequence[ArmingRow]:
        async with self._database.reading() as connection:
            rows = await connection.execute(select(armings).order_by(armings.c.id))
            return [ArmingRow(r.principal, r.at, r.plan_hash, r.expires_at, r.signature, r.reason) for r in rows]
