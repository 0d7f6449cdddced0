"""Brings a store's tables into being and up to date; imports Alembic (0.8 s) only where there is something to migrate.

A new SQLite file is built complete beside its place and then linked there in one move, so that processes that start at
the same moment agree on one file, and nobody ever sees half of one. Migrations run in one write transaction: of
processes that want to migrate at once, the first does it and the others find it done.
"""

import os
import tempfile
from pathlib import Path

from sqlalchemy import (
    URL,
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    inspect,
    select,
)

from tocsin.domain.errors import ConfigurationInvalid
from tocsin.store.tables import SCHEMA_HEAD, metadata

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, as Alembic makes it."""


def sqlite_url(path: Path) -> URL:
    """The URL of a store in an SQLite file."""
    return URL.create("sqlite+aiosqlite", database=str(path))


def create_file(path: Path) -> None:
    """Creates the SQLite file of a new store, and its folder, readable by this user only; an existing one stays.

    Raises:
        OSError, sqlalchemy.exc.DBAPIError: it can't be created.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
        unfinished = Path(folder, path.name)
        unfinished.touch(mode=0o600, exist_ok=False)
        _build(unfinished)
        try:
            path.hardlink_to(unfinished)
        except FileExistsError:
            return  # another process was quicker; its file is as good
        _sync_folder(path.parent)


def _build(path: Path) -> None:
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.begin() as connection:
            metadata.create_all(connection)
            alembic_version.create(connection)
            connection.execute(alembic_version.insert().values(version_num=SCHEMA_HEAD))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    finally:
        engine.dispose()


def _sync_folder(folder: Path) -> None:
    """Makes the new name durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def schema_version(connection: Connection) -> str | None:
    """The migration that the database is at; None for an empty database.

    Raises:
        ConfigurationInvalid: the database holds something, but no store.
    """
    tables = inspect(connection).get_table_names()
    if alembic_version.name in tables:
        return connection.execute(select(alembic_version.c.version_num)).scalar_one_or_none()
    if tables:
        file, some = connection.engine.url.database, ", ".join(tables[:5])
        raise ConfigurationInvalid(
            "not-a-store",
            f"the database at {file} is not Tocsin's: it has the tables {some}",
            next_step="name another file or folder for the state in the configuration",
        )
    return None


def migrate(connection: Connection) -> None:
    """Runs the migrations that are missing, in the transaction that the connection has begun.

    Raises:
        ConfigurationInvalid: the database is at a migration that this version does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    configuration = Config()
    configuration.set_main_option("script_location", "tocsin.store:migrations")
    configuration.attributes["connection"] = connection
    try:
        command.upgrade(configuration, "head")
    except CommandError as error:
        raise ConfigurationInvalid(
            "store-is-newer",
            f"the store at {connection.engine.url.database} was written by another version of Tocsin ({error})",
            next_step="use that version or a later one; nothing was changed",
        ) from error
