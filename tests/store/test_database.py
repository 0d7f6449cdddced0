"""Opening the store, its guards, and what its troubles are called."""

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Executable, delete, insert, update
from sqlalchemy.exc import IntegrityError

from conformance.event_log import declaration, new
from conformance.outbox import entry
from tocsin.connect.ports import OutboxStatus
from tocsin.domain.errors import ConfigurationInvalid, Unavailable
from tocsin.store.database import Database, open_database
from tocsin.store.event_log import StoredEventLog
from tocsin.store.incidents import StoredIncidentIndex
from tocsin.store.outbox import StoredOutbox
from tocsin.store.schema import create_file, sqlite_url
from tocsin.store.tables import counters, events, incidents, outbox

BRIEF = timedelta(milliseconds=50)
PAGE_BYTES = 4096


def damage(path: Path) -> None:
    """Overwrites all but the first page."""
    content = path.read_bytes()
    path.write_bytes(content[:PAGE_BYTES].ljust(len(content), b"U"))


async def one_incident(database: Database) -> str:
    incident, _ = await StoredIncidentIndex(database).open_incident("k", declaration("k"))
    return incident


async def test_a_new_store_is_readable_by_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "state of the platform" / "tocsin.sqlite"
    async with await open_database(sqlite_url(path)) as database:
        await one_incident(database)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"tocsin.sqlite": 0o600, "tocsin.sqlite-wal": 0o600, "tocsin.sqlite-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_of_many_who_create_the_same_store_one_does_and_nothing_else_is_left(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def create(path: Path) -> int:
        barrier.wait(timeout=10)
        create_file(path)
        return path.stat().st_ino

    with ThreadPoolExecutor(max_workers=4) as pool:
        for number in range(5):
            path = tmp_path / str(number) / "tocsin.sqlite"
            assert len(set(pool.map(create, [path] * 4))) == 1
            assert [file.name for file in path.parent.iterdir()] == ["tocsin.sqlite"]


async def test_what_was_stored_is_there_when_it_is_opened_again(store_path: Path) -> None:
    async with await open_database(sqlite_url(store_path)) as database:
        incident = await one_incident(database)
    async with await open_database(sqlite_url(store_path)) as database:
        assert [r.key for r in await StoredEventLog(database).read(incident, limit=10)] == ["declared"]


async def test_commits_are_on_the_disk_and_the_journal_is_a_write_ahead_log(database: Database) -> None:
    async with database.writing() as connection:
        pragmas = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("synchronous", "journal_mode", "foreign_keys")
        }
    assert pragmas == {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}


async def test_a_store_restored_from_a_dump_gets_its_journal_back(store_path: Path) -> None:
    with sqlite3.connect(store_path) as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    connection.close()
    async with await open_database(sqlite_url(store_path)) as database, database.reading() as connection:
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one() == "wal"


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    incident = await one_incident(database)
    async with database.writing() as connection:
        await connection.execute(insert(counters).values(name="other", value=1))
        assert len(await StoredEventLog(database).read(incident, limit=10)) == 1


async def test_a_failed_write_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.writing() as connection:
            await connection.execute(insert(counters).values(name="other", value=1))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.reading() as connection:
        assert (await connection.execute(counters.select())).all() == []


async def test_a_cancelled_append_is_whole_or_not_there_and_blocks_nobody(database: Database) -> None:
    incident, log = await one_incident(database), StoredEventLog(database)
    for number in range(25):
        task = asyncio.create_task(log.append(incident, [new(f"cancelled-{number}")], expected_seq=None))
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await log.append(incident, [new("after")], expected_seq=None)
    assert (await log.verify(incident)).holds


@pytest.mark.parametrize("statement", [update(events).values(principal="mallory"), delete(events)])
async def test_the_event_log_can_not_be_changed(database: Database, statement: Executable) -> None:
    await one_incident(database)
    with pytest.raises(IntegrityError, match="append only"):
        async with database.writing() as connection:
            await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        update(outbox).values(raw=b"other bytes"),
        update(outbox).values(valid_until_block=1),
        update(outbox).values(status="stored", height=None),
        delete(outbox),
    ],
)
async def test_the_outbox_keeps_bytes_and_outcomes(database: Database, statement: Executable) -> None:
    await StoredOutbox(database).put(entry("k"))
    await StoredOutbox(database).settle("k", OutboxStatus.INCLUDED, 7)
    with pytest.raises(IntegrityError):
        async with database.writing() as connection:
            await connection.execute(statement)


async def test_two_open_incidents_with_one_key_can_not_be_stored(database: Database) -> None:
    incident = await one_incident(database)
    async with database.reading() as connection:
        row = (await connection.execute(incidents.select().where(incidents.c.id == incident))).mappings().one()
    with pytest.raises(IntegrityError):
        async with database.writing() as connection:
            await connection.execute(insert(incidents).values(**{**row, "id": "INC-2025-9999"}))


async def test_a_log_whose_end_was_cut_off_does_not_verify(database: Database, store_path: Path) -> None:
    incident, log = await one_incident(database), StoredEventLog(database)
    await log.append(incident, [new("a")], expected_seq=None)
    forger = sqlite3.connect(store_path)
    forger.executescript("DROP TRIGGER events_no_delete; DELETE FROM events WHERE seq = 2;")
    forger.close()
    verdict = await log.verify(incident)
    assert (verdict.holds, verdict.events) == (False, 1)
    assert verdict.problem == "the log ends with event 1, but event 2 was recorded"


async def test_a_locked_store_is_unavailable_after_a_bounded_wait(store_path: Path) -> None:
    async with await open_database(sqlite_url(store_path), lock_wait=BRIEF) as database:
        other = sqlite3.connect(store_path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as busy:
            await one_incident(database)
        other.execute("ROLLBACK")
        other.close()
        assert busy.value.code == "store-busy"
        assert busy.value.next_step
        await one_incident(database)


async def test_writers_of_one_process_wait_a_bounded_time_too(store_path: Path) -> None:
    async with await open_database(sqlite_url(store_path), lock_wait=BRIEF) as database:
        async with database.writing():
            with pytest.raises(Unavailable) as busy:
                await one_incident(database)
        assert busy.value.code == "store-busy"


async def test_a_full_disk_is_said_to_be_one_and_nothing_was_appended(database: Database) -> None:
    incident, log = await one_incident(database), StoredEventLog(database)

    async def fill() -> None:
        async with database.writing() as connection:
            await connection.exec_driver_sql("PRAGMA max_page_count=1")
            for number in range(200):
                await connection.execute(insert(counters).values(name=f"{number:060}", value=number))

    with pytest.raises(Unavailable) as full:
        await fill()
    assert (full.value.code, full.value.next_step) == ("store-disk-full", "free some space and try again")
    assert await log.head_of_log() == 1
    assert (await log.verify(incident)).holds


async def test_a_damaged_store_is_said_to_be_one(store_path: Path) -> None:
    damage(store_path)
    with pytest.raises(Unavailable) as corrupt:
        async with await open_database(sqlite_url(store_path)) as database:
            await one_incident(database)
    assert corrupt.value.code == "store-corrupt"
    assert "restore" in corrupt.value.next_step


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.sqlite"
    path.write_text("a shopping list\n" * 200)
    with pytest.raises(Unavailable) as corrupt:
        await open_database(sqlite_url(path))
    assert corrupt.value.code == "store-corrupt"


async def test_a_folder_that_can_not_be_made_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable) as unwritable:
        await open_database(sqlite_url(tmp_path / "file" / "tocsin.sqlite"))
    assert unwritable.value.code == "store-not-accessible"


async def test_the_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "dbos.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE workflows (id TEXT)")
    other.close()
    with pytest.raises(ConfigurationInvalid) as invalid:
        await open_database(sqlite_url(path))
    assert invalid.value.code == "not-a-store"


@pytest.mark.parametrize("url", ["postgresql://tocsin:secret@db/tocsin", "sqlite://", "sqlite:///:memory:", "nonsense"])
async def test_only_sqlite_files_are_accepted_and_no_password_is_told(url: str) -> None:
    with pytest.raises(ConfigurationInvalid) as invalid:
        await open_database(url)
    assert "secret" not in str(invalid.value)


def test_opening_a_store_that_is_up_to_date_or_new_does_not_import_alembic(store_path: Path, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tocsin.store.database import open_database; from tocsin.store.schema import sqlite_url\n"
        "async def main():\n"
        "    for path in sys.argv[1:]:\n"
        "        await (await open_database(sqlite_url(Path(path)))).close()\n"
        "asyncio.run(main())\n"
        "assert 'alembic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, store_path, tmp_path / "new.sqlite"], check=True, timeout=60)


async def test_a_copied_store_in_a_folder_with_odd_characters_opens(store_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "50% off? #1 ü"
    folder.mkdir()
    copy = Path(shutil.copy(store_path, folder / "tocsin.sqlite"))
    async with await open_database(sqlite_url(copy)) as database:
        await one_incident(database)
