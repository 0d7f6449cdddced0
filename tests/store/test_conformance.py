"""The repositories of the database and the fakes that other tests rely on, held to the same suites."""

import pytest

from conformance.event_log import EventLogConformance, IncidentIndexConformance
from conformance.outbox import OutboxConformance
from conformance.repositories import (
    CursorConformance,
    DeadlinesConformance,
    LeasesConformance,
    RunbooksConformance,
    SeenDetectionsConformance,
)
from fakes.event_log import MemoryEventLog
from fakes.repositories import MemoryCursor, MemoryDeadlines, MemoryLeases, MemoryRunbooks, MemorySeenDetections
from tocsin.connect.ports import Outbox
from tocsin.detect.follower import Cursor
from tocsin.domain.clock import ManualClock
from tocsin.respond.ports import DeadlineStore, EventLog, IncidentIndex, Leases, RunbookStore, SeenDetections
from tocsin.store.cursors import StoredCursor
from tocsin.store.database import Database
from tocsin.store.deadlines import StoredDeadlines
from tocsin.store.detections import StoredSeenDetections
from tocsin.store.event_log import StoredEventLog
from tocsin.store.incidents import StoredIncidentIndex
from tocsin.store.leases import StoredLeases
from tocsin.store.outbox import StoredOutbox
from tocsin.store.runbooks import StoredRunbooks


class _InMemory:
    @pytest.fixture
    def both(self) -> MemoryEventLog:
        return MemoryEventLog()

    @pytest.fixture
    def log(self, both: MemoryEventLog) -> EventLog:
        return both

    @pytest.fixture
    def index(self, both: MemoryEventLog) -> IncidentIndex:
        return both


class _InDatabase:
    @pytest.fixture
    def log(self, database: Database) -> EventLog:
        return StoredEventLog(database)

    @pytest.fixture
    def index(self, database: Database) -> IncidentIndex:
        return StoredIncidentIndex(database)


class TestMemoryEventLog(_InMemory, EventLogConformance):
    pass


class TestMemoryIncidentIndex(_InMemory, IncidentIndexConformance):
    pass


class TestStoredEventLog(_InDatabase, EventLogConformance):
    pass


class TestStoredIncidentIndex(_InDatabase, IncidentIndexConformance):
    pass


class TestStoredOutbox(OutboxConformance):
    @pytest.fixture
    def outbox(self, database: Database) -> Outbox:
        return StoredOutbox(database)


class TestMemoryLeases(LeasesConformance):
    @pytest.fixture
    def leases(self, clock: ManualClock) -> Leases:
        return MemoryLeases(clock)


class TestStoredLeases(LeasesConformance):
    @pytest.fixture
    def leases(self, database: Database, clock: ManualClock) -> Leases:
        return StoredLeases(database, clock)


class TestMemoryDeadlines(DeadlinesConformance):
    @pytest.fixture
    def deadlines(self) -> DeadlineStore:
        return MemoryDeadlines()


class TestStoredDeadlines(DeadlinesConformance):
    @pytest.fixture
    def deadlines(self, database: Database) -> DeadlineStore:
        return StoredDeadlines(database)


class TestMemoryRunbooks(RunbooksConformance):
    @pytest.fixture
    def runbooks(self) -> RunbookStore:
        return MemoryRunbooks()


class TestStoredRunbooks(RunbooksConformance):
    @pytest.fixture
    def runbooks(self, database: Database) -> RunbookStore:
        return StoredRunbooks(database)


class TestMemoryCursor(CursorConformance):
    @pytest.fixture
    def cursor(self) -> Cursor:
        return MemoryCursor()


class TestStoredCursor(CursorConformance):
    @pytest.fixture
    def cursor(self, database: Database) -> Cursor:
        return StoredCursor(database)


class TestMemorySeenDetections(SeenDetectionsConformance):
    @pytest.fixture
    def seen(self) -> SeenDetections:
        return MemorySeenDetections()


class TestStoredSeenDetections(SeenDetectionsConformance):
    @pytest.fixture
    def seen(self, database: Database) -> SeenDetections:
        return StoredSeenDetections(database)
