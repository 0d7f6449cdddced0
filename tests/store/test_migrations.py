"""Migrations and tables describe the same database, and a store moves from one version to the next."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from conformance.event_log import declaration
from tocsin.domain.errors import ConfigurationInvalid
from tocsin.store.database import open_database
from tocsin.store.event_log import StoredEventLog
from tocsin.store.incidents import StoredIncidentIndex
from tocsin.store.schema import sqlite_url
from tocsin.store.tables import SCHEMA_HEAD, metadata


def shape(path: Path) -> dict[str, object]:
    """What the database looks like, without the order and the spelling of the statements that made it."""
    connection = sqlite3.connect(path)
    found: dict[str, object] = {}
    for kind, name, table, statement in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if kind == "table":
            for what in ("table_xinfo", "foreign_key_list", "index_list"):
                rows = connection.execute(f"PRAGMA {what}({name})").fetchall()
                found[f"{what} of {name}"] = sorted(row[1:] for row in rows)
        else:
            found[f"{kind} {name} on {table}"] = " ".join((statement or "").split())
    connection.close()
    return found


async def migrated(tmp_path: Path) -> Path:
    """A store that the migrations made from an empty file."""
    path = tmp_path / "migrated.sqlite"
    path.touch()
    async with await open_database(sqlite_url(path)):
        return path


async def test_migrations_lead_to_the_tables(tmp_path: Path, store_path: Path) -> None:
    path = await migrated(tmp_path)
    assert shape(path) == shape(store_path)


async def test_autogeneration_finds_nothing_to_do(tmp_path: Path) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    path = await migrated(tmp_path)
    async with await open_database(sqlite_url(path)) as database, database.reading() as connection:
        assert await connection.run_sync(differences) == []


def test_the_version_that_needs_no_migration_is_the_newest_one() -> None:
    configuration = Config()
    configuration.set_main_option("script_location", "tocsin.store:migrations")
    assert ScriptDirectory.from_config(configuration).get_heads() == [SCHEMA_HEAD]


async def test_a_migrated_store_works_like_a_new_one(tmp_path: Path) -> None:
    async with await open_database(sqlite_url(await migrated(tmp_path))) as database:
        incident, _ = await StoredIncidentIndex(database).open_incident("k", declaration("k"))
        assert (await StoredEventLog(database).verify(incident)).holds


async def test_a_store_of_a_newer_version_is_left_alone(store_path: Path) -> None:
    with sqlite3.connect(store_path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigurationInvalid) as invalid:
        await open_database(sqlite_url(store_path))
    assert invalid.value.code == "store-is-newer"
