"""DBOS on SQLite: the durable workflow engine in a database file of its own, also on SQLite older than 3.42.

DBOS calls `unixepoch('subsec')`, which SQLite has only since 3.42; older ones get the function from here. Writers
queue (`IMMEDIATE`, a busy time-out) instead of failing, and a commit is on the disk when it returns (`FULL`).

A starting engine takes over everything that its predecessor left unfinished. That is right only if the predecessor is
gone, so an engine holds a lock beside its file, which the operating system lets go however the process ends.
"""

import asyncio
import fcntl
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy import event

from tocsin.domain.errors import Refused

WORKFLOW_VERSION = "1"
"""Constant on purpose: an upgrade continues the incidents that are open. Changed workflows use `DBOS.patch_async`."""

EXECUTOR = "tocsin"
"""Constant on purpose: DBOS goes on with its own executor's workflows only, and to it the next process is the same."""


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine for DBOS's own database file, which only its owner can read."""
    path.touch(mode=0o600)
    engine = sa.create_engine(f"sqlite:///{path}", pool_size=5, max_overflow=0)

    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("unixepoch", -1, _now)

    event.listen(engine, "connect", prepare)
    return engine


def _now(*_modifiers: str) -> float:
    return time.time()


@asynccontextmanager
async def open_engine(path: Path) -> AsyncGenerator[DBOS]:
    """Creates (not yet launches) the engine on this file, whose folder must exist; ends it with the block.

    Workflows must be registered before `DBOS.launch()`.

    Raises:
        Refused: another process runs on this file.
    """
    with _held_alone(path.with_suffix(".lock")):
        config: DBOSConfig = {
            "name": "tocsin",
            "system_database_url": f"sqlite:///{path}",
            "system_database_engine": sqlite_engine(path),
            "application_version": WORKFLOW_VERSION,
            "executor_id": EXECUTOR,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
            "notification_listener_polling_interval_sec": 0.05,
        }
        engine = DBOS(config=config)
        try:
            yield engine
        finally:
            await _leave_off()
            await asyncio.to_thread(engine.destroy, destroy_registry=False)
            await _leave_off()
            # DBOS keeps configured instances as long as the process lives, and has no public way to forget them; the
            # next engine of this process brings its own.
            engine._registry.instance_info_map.clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            # DBOS has put its threads in the place of the event loop's own, and has ended them.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


_at_work: set[asyncio.Task[object]] = set()
"""The tasks of workflows; of one engine, as a process can have only one at a time."""


@contextmanager
def at_work() -> Generator[None]:
    """Stands around the body of every workflow, so that it is left off before what it works with is closed.

    Otherwise it would meet closed connections, and would take that for an outcome.
    """
    task = asyncio.current_task()
    assert task is not None, "workflows run on an event loop"
    _at_work.add(task)
    try:
        yield
    finally:
        _at_work.discard(task)


async def _leave_off() -> None:
    """Cancels the workflows where they are. DBOS records nothing for that: they go on with the next engine."""
    tasks = tuple(_at_work)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _held_alone(path: Path) -> Generator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                "state-in-use",
                f"another process carries incidents on in {path.parent}",
                next_step="end that one first, or give this one a state folder of its own",
                data={"folder": str(path.parent)},
            ) from error
        yield
