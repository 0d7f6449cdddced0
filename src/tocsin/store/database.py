"""The connection to the store: opening it, and the two kinds of transaction that the repositories use.

Readers never wait (write-ahead log). Writers queue, in this process behind a lock and across processes behind
`BEGIN IMMEDIATE`, so at any moment there is one write transaction. The repositories rely on that: what one has read
inside `writing()` stands until it commits. A commit is on the disk when it returns (`synchronous=FULL`).

On Postgres, `BEGIN IMMEDIATE` will be a transaction-level advisory lock, and nothing else needs to change; until that
is tried, only SQLite is accepted.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from tocsin.domain.errors import ConfigurationInvalid
from tocsin.store.failures import busy, translated
from tocsin.store.schema import create_file, migrate, schema_version
from tocsin.store.tables import SCHEMA_HEAD

LOCK_WAIT_MAX = timedelta(seconds=15)
"""How long a writer waits for those before it."""
_CONNECTIONS_MAX = 4
_WRITES = "tocsin_writes"


class Database:
    """An open store. Belongs to one event loop; close it, or use it as a context manager."""

    def __init__(self, engine: AsyncEngine, lock_wait: timedelta) -> None:
        self._reader = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        self._lock_wait_s = lock_wait.total_seconds()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that sees one moment of the store.

        Raises:
            Unavailable: the store can't be read.
        """
        with translated():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """The one write transaction of this moment: committed at the end of the block, rolled back on any error.

        Raises:
            Unavailable: the lock was not free in time, or the store can't be written; nothing changed.
        """
        try:
            async with asyncio.timeout(self._lock_wait_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise busy("other writers of this process") from error
        try:
            with translated():
                async with self._writer.begin() as connection:
                    yield connection
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Closes all connections."""
        await self._reader.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


async def open_database(url: URL | str, *, lock_wait: timedelta = LOCK_WAIT_MAX) -> Database:
    """Opens the store, creating it or migrating it where needed. `sqlite_url` makes the URL for a file.

    Raises:
        ConfigurationInvalid: the URL names no SQLite file, or a database that is not a store of this version.
        Unavailable: it can't be opened now.
    """
    checked = _checked(url)
    assert checked.database is not None
    with translated():
        await asyncio.to_thread(create_file, Path(checked.database))
    database = Database(_engine(checked, lock_wait), lock_wait)
    try:
        async with database.reading() as connection:
            version = await connection.run_sync(schema_version)
        if version != SCHEMA_HEAD:
            async with database.writing() as connection:
                await connection.run_sync(migrate)
    except BaseException:
        await database.close()
        raise
    return database


def _checked(url: URL | str) -> URL:
    try:
        checked = make_url(url)
    except ArgumentError as error:
        raise ConfigurationInvalid("store-url-invalid", "the store's URL can't be read") from error
    if checked.get_backend_name() != "sqlite" or checked.database in (None, "", ":memory:"):
        raise ConfigurationInvalid(
            "store-not-supported",
            f"the store at {checked.render_as_string(hide_password=True)} is no SQLite file",
            next_step="use a file; Postgres is not supported yet",
        )
    return checked.set(drivername="sqlite+aiosqlite")


def _engine(url: URL, lock_wait: timedelta) -> AsyncEngine:
    wait_s = lock_wait.total_seconds()
    engine = create_async_engine(
        url,
        pool_size=_CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=wait_s,
        connect_args={"timeout": wait_s},
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver's own transactions begin too late (at the first change) and as readers; `_begin` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    # New files have a write-ahead log from birth; this brings it back to one that was restored from a dump.
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
