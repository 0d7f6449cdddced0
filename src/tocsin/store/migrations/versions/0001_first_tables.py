"""The first tables: event log, index of incidents, deadlines, leases, runbooks, cursors, detections, outbox.

On Postgres the triggers below become one function that raises, with `BEFORE UPDATE OR DELETE … FOR EACH ROW EXECUTE
FUNCTION` on `events`, and likewise for `outbox`; besides, the role that Tocsin uses there gets no UPDATE and no DELETE
on `events`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.String(32)

_GUARDS = (
    ("events_no_update", "UPDATE ON events", "the event log is append only"),
    ("events_no_delete", "DELETE ON events", "the event log is append only"),
    ("armings_no_update", "UPDATE ON armings", "acts of arming are append only"),
    ("armings_no_delete", "DELETE ON armings", "acts of arming are append only"),
    (
        "outbox_bytes_stand",
        "UPDATE OF key, tx, raw, valid_until_block, purpose, created_at ON outbox",
        "a stored transaction never changes",
    ),
    ("outbox_outcome_stands", "UPDATE ON outbox WHEN OLD.status <> 'stored'", "a settled transaction stays settled"),
    ("outbox_no_delete", "DELETE ON outbox", "the outbox forgets nothing"),
)


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", _BIG, nullable=False),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("emergency", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("severity", sa.String(2), nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("declared_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT),
        sa.Column("last_seq", sa.Integer, nullable=False),
        sa.Column("last_hash", sa.String(64), nullable=False),
        sa.Column("last_position", _BIG, nullable=False),
    )
    op.create_index(
        "incidents_open_key",
        "incidents",
        ["key"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index("incidents_last_position", "incidents", ["last_position"])
    op.create_table(
        "events",
        sa.Column("position", _BIG, primary_key=True, autoincrement=False),
        sa.Column("incident", sa.String(32), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.UniqueConstraint("incident", "seq", name="events_seq"),
        sa.UniqueConstraint("incident", "key", name="events_key"),
        sa.CheckConstraint("seq >= 1", name="events_seq_from_one"),
    )
    op.create_table(
        "deadlines",
        sa.Column("incident", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("due_at", _MOMENT, nullable=False),
    )
    op.create_index("deadlines_due_at", "deadlines", ["due_at"])
    op.create_table(
        "leases",
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text),
        sa.Column("token", _BIG, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "runbooks",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
    )
    op.create_table(
        "acceptances",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("hash", sa.String(64), sa.ForeignKey("runbooks.hash"), nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("needed", sa.Integer, nullable=False),
        sa.UniqueConstraint("hash", "round", "principal", name="acceptances_once"),
    )
    op.create_table(
        "armings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("plan_hash", sa.String(64)),
        sa.Column("expires_at", _MOMENT),
        sa.Column("signature", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("height", _BIG, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
    )
    op.create_table("seen_detections", sa.Column("id", sa.Text, primary_key=True))
    op.create_table(
        "outbox",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("tx", sa.String(66), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("valid_until_block", _BIG, nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("height", _BIG),
    )
    op.create_index("outbox_status", "outbox", ["status", "created_at"])
    if op.get_bind().dialect.name == "sqlite":
        for name, before, message in _GUARDS:
            op.execute(f"CREATE TRIGGER {name} BEFORE {before} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def downgrade() -> None:
    raise NotImplementedError("the store is not taken back: restore the backup made before the upgrade")
