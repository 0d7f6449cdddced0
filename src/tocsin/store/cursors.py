"""Where followers of the chain stand."""

from sqlalchemy import insert, select, update

from tocsin.domain.hashes import BlockHash
from tocsin.store.database import Database
from tocsin.store.tables import cursors


class StoredCursor:
    """The `Cursor` of the chain follower, on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> int | None:
        async with self._database.reading() as connection:
            return (
                await connection.execute(select(cursors.c.height).where(cursors.c.name == name))
            ).scalar_one_or_none()

    async def set(self, name: str, height: int, block_hash: BlockHash) -> None:
        async with self._database.writing() as connection:
            found = await connection.execute(select(cursors.c.height).where(cursors.c.name == name))
            standing = found.scalar_one_or_none()
            if standing is None:
                await connection.execute(insert(cursors).values(name=name, height=height, block_hash=block_hash))
            elif height > standing:
                await connection.execute(
                    update(cursors).where(cursors.c.name == name).values(height=height, block_hash=block_hash)
                )
