"""DBOS on SQLite: the durable workflow engine in a database file of its own, also on SQLite older than 3.42.

DBOS calls `unixepoch('subsec')`, which SQLite has only since 3.42; older ones get the function from here. Writers
queue (`IMMEDIATE`, a busy time-out) instead of failing, and a commit is on the disk when it returns (`FULL`).
"""

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy import event

WORKFLOW_VERSION = "1"
"""Constant on purpose: an upgrade continues the incidents that are open. Changed workflows use `DBOS.patch_async`."""


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine for DBOS's own database file."""
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


def start_engine(path: Path, executor: str) -> DBOS:
    """Creates (not yet launches) the engine. Workflows must be registered before `DBOS.launch()`.

    `executor` names this process among several on one database; it must be unique among them.
    """
    config: DBOSConfig = {
        "name": "tocsin",
        "system_database_url": f"sqlite:///{path}",
        "system_database_engine": sqlite_engine(path),
        "application_version": WORKFLOW_VERSION,
        "executor_id": executor,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "ERROR",
        "notification_listener_polling_interval_sec": 0.05,
    }
    return DBOS(config=config)
