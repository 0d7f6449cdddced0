"""The whole store, opened: one database file and a repository for each thing that is kept in it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tocsin.domain.clock import Clock
from tocsin.store.armings import StoredArmings
from tocsin.store.cursors import StoredCursor
from tocsin.store.database import open_database
from tocsin.store.deadlines import StoredDeadlines
from tocsin.store.event_log import StoredEventLog
from tocsin.store.incidents import StoredIncidentIndex
from tocsin.store.leases import StoredLeases
from tocsin.store.outbox import StoredOutbox
from tocsin.store.runbooks import StoredRunbooks
from tocsin.store.schema import sqlite_url

DATABASE_FILE = "tocsin.sqlite"


@dataclass(frozen=True, slots=True)
class Store:
    """The repositories of one database."""

    events: StoredEventLog
    incidents: StoredIncidentIndex
    deadlines: StoredDeadlines
    leases: StoredLeases
    runbooks: StoredRunbooks
    cursor: StoredCursor
    outbox: StoredOutbox
    armings: StoredArmings


@asynccontextmanager
async def open_store(folder: Path, clock: Clock) -> AsyncGenerator[Store]:
    """Opens the store in this folder, making or migrating it where needed.

    Raises:
        ConfigurationInvalid: what is there is no store of this version.
        Unavailable: it can't be opened now.
    """
    async with await open_database(sqlite_url(folder / DATABASE_FILE)) as database:
        yield Store(
            events=StoredEventLog(database),
            incidents=StoredIncidentIndex(database),
            deadlines=StoredDeadlines(database),
            leases=StoredLeases(database, clock),
            runbooks=StoredRunbooks(database),
            cursor=StoredCursor(database),
            outbox=StoredOutbox(database),
            armings=StoredArmings(database),
        )
