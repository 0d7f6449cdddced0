"""Several processes on one store, and one that is killed while it writes. Real processes, real files."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from conformance.event_log import declaration, new
from tocsin.store.database import Database, open_database
from tocsin.store.event_log import StoredEventLog
from tocsin.store.incidents import StoredIncidentIndex
from tocsin.store.schema import sqlite_url

APPENDER = Path(__file__).with_name("appender.py")
WAIT_S_MAX = 30


@asynccontextmanager
async def appender(store: Path, incident: str, name: str = "", count: int = 0) -> AsyncGenerator[Process]:
    """A process that has opened the store and waits for its start; it is dead at the end of the block."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, APPENDER, store, incident, name, str(count), stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        assert await line_of(process) == "ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: Process) -> str:
    """The next line that the process prints; empty at its end."""
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S_MAX):
        return (await process.stdout.readline()).decode().strip()


async def rest_of(process: Process) -> list[str]:
    """All lines that the process still prints."""
    lines: list[str] = []
    while line := await line_of(process):
        lines.append(line)
    return lines


def start(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def opened(database: Database, key: str) -> str:
    incident, _ = await StoredIncidentIndex(database).open_incident(key, declaration(key))
    return incident


async def test_two_processes_append_at_once_without_a_gap(database: Database, store_path: Path) -> None:
    shared = await opened(database, "shared")
    async with appender(store_path, shared, "one", 60) as one, appender(store_path, shared, "two", 60) as two:
        start(one)
        start(two)
        acknowledged = [key for keys in await asyncio.gather(rest_of(one), rest_of(two)) for key in keys]
    log = StoredEventLog(database)
    history = await log.read(shared, limit=1000)
    assert [r.seq for r in history] == list(range(1, 122))
    assert {r.key for r in history} == {"declared", *acknowledged}
    assert (await log.verify(shared)).holds


async def test_appends_of_another_process_are_seen_as_changes(database: Database, store_path: Path) -> None:
    incident, log = await opened(database, "theirs"), StoredEventLog(database)
    await opened(database, "ours")
    position, _ = await log.changed_since(0)
    async with appender(store_path, incident, "one", 1) as other:
        start(other)
        assert await line_of(other) == "one-0"
        assert (await log.changed_since(position))[1] == {incident}


async def test_a_process_killed_while_it_appends_loses_nothing_acknowledged(
    database: Database, store_path: Path
) -> None:
    incident = await opened(database, "killed")
    async with appender(store_path, incident, "one", 100_000) as process:
        start(process)
        acknowledged = [await line_of(process) for _ in range(30)]
        process.kill()
        acknowledged += [line for line in await rest_of(process) if line.rpartition("-")[2].isdigit()]
    log = StoredEventLog(database)
    history = await log.read(incident, limit=200_000)
    assert [r.key for r in history[1 : len(acknowledged) + 1]] == acknowledged
    assert len(history) - 1 - len(acknowledged) in (0, 1), "at most the append in flight was not acknowledged"
    (after,) = await log.append(incident, [new("after")], expected_seq=history[-1].seq)
    verdict = await log.verify(incident)
    assert (verdict.holds, verdict.events) == (True, after.seq)


async def test_a_new_store_that_two_processes_open_at_once_is_one_store(tmp_path: Path) -> None:
    store = tmp_path / "new" / "tocsin.sqlite"
    async with AsyncExitStack() as stack:
        one, two = await asyncio.gather(*(stack.enter_async_context(appender(store, "-")) for _ in range(2)))
        start(one)
        start(two)
        said = await asyncio.gather(line_of(one), line_of(two))
    assert sorted(said) == ["INC-2025-0001 False", "INC-2025-0001 True"]
    async with await open_database(sqlite_url(store)) as database:
        assert len(await StoredEventLog(database).incidents()) == 1
