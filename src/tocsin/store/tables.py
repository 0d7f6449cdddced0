"""The tables, as SQLAlchemy describes them. Migrations lead to the same tables; a test holds the two together.

Moments are text of one fixed form in UTC, so that they sort as text, survive every database exactly, and can be hashed
as they stand. The event log and the bytes of the outbox are guarded by triggers: not even a faulty program of our own
changes them.
"""

from datetime import datetime

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.types import BigInteger, TypeDecorator

from tocsin.store.moments import moment_text

SCHEMA_HEAD = "0001"
"""The newest migration. It stands here so that opening a store that is up to date need not import Alembic (0.8 s)."""


class Moment(TypeDecorator[datetime]):
    """An aware datetime, as `moment_text`."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else moment_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


_BIG = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", _BIG, nullable=False),
)
"""`log`: the newest event's global position. `incident:YEAR`: the last number given in that year."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key", Text, nullable=False),
    Column("emergency", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("severity", String(2), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("declared_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("last_seq", Integer, nullable=False),
    Column("last_hash", String(64), nullable=False),
    Column("last_position", _BIG, nullable=False),
)
Index(
    "incidents_open_key",
    incidents.c.key,
    unique=True,
    sqlite_where=text("is_open"),
    postgresql_where=text("is_open"),
)
Index("incidents_last_position", incidents.c.last_position)

events = Table(
    "events",
    metadata,
    Column("position", _BIG, primary_key=True, autoincrement=False),
    Column("incident", String(32), ForeignKey("incidents.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    Column("principal", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("data", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("incident", "seq", name="events_seq"),
    UniqueConstraint("incident", "key", name="events_key"),
    CheckConstraint("seq >= 1", name="events_seq_from_one"),
)

deadlines = Table(
    "deadlines",
    metadata,
    Column("incident", String(32), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("due_at", Moment, nullable=False),
)
Index("deadlines_due_at", deadlines.c.due_at)

leases = Table(
    "leases",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("holder", Text),
    Column("token", _BIG, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
"""A released lease keeps its row, without a holder, so that its token goes on growing."""

runbooks = Table(
    "runbooks",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("file", Text, nullable=False),
)

armings = Table(
    "armings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("principal", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("plan_hash", String(64)),
    Column("expires_at", Moment),
    Column("signature", Text),
    Column("reason", Text, nullable=False),
)
"""Acts of arming a reflex, and of disarming it (no plan, no signature)."""

acceptances = Table(
    "acceptances",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String(64), ForeignKey("runbooks.hash"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("principal", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("needed", Integer, nullable=False),
    UniqueConstraint("hash", "round", "principal", name="acceptances_once"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("height", _BIG, nullable=False),
    Column("block_hash", String(66), nullable=False),
)

seen_detections = Table(
    "seen_detections",
    metadata,
    Column("id", Text, primary_key=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tx", String(66), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("valid_until_block", _BIG, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("status", String(16), nullable=False),
    Column("height", _BIG),
)
Index("outbox_status", outbox.c.status, outbox.c.created_at)


def _guard(table: Table, name: str, before: str, message: str) -> None:
    """Has SQLite abort what would change something that must not change."""
    trigger = f"CREATE TRIGGER {name} BEFORE {before} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    event.listen(table, "after_create", DDL(trigger).execute_if(dialect="sqlite"))


_guard(events, "events_no_update", "UPDATE ON events", "the event log is append only")
_guard(events, "events_no_delete", "DELETE ON events", "the event log is append only")
_guard(armings, "armings_no_update", "UPDATE ON armings", "acts of arming are append only")
_guard(armings, "armings_no_delete", "DELETE ON armings", "acts of arming are append only")
_guard(
    outbox,
    "outbox_bytes_stand",
    "UPDATE OF key, tx, raw, valid_until_block, purpose, created_at ON outbox",
    "a stored transaction never changes",
)
_guard(
    outbox,
    "outbox_outcome_stands",
    "UPDATE ON outbox WHEN OLD.status <> 'stored'",
    "a settled transaction stays settled",
)
_guard(outbox, "outbox_no_delete", "DELETE ON outbox", "the outbox forgets nothing")
