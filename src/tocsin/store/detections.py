"""Which detections were delivered."""

from sqlalchemy import insert, select

from tocsin.store.database import Database
from tocsin.store.tables import seen_detections


class StoredSeenDetections:
    """`SeenDetections` on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, detection: str) -> bool:
        async with self._database.writing() as connection:
            found = await connection.execute(select(seen_detections.c.id).where(seen_detections.c.id == detection))
            if found.scalar_one_or_none() is not None:
                return False
            await connection.execute(insert(seen_detections).values(id=detection))
            return True
