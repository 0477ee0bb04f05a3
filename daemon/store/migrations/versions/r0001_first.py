"""The first schema. Written out, not taken from `tables.metadata`: a revision must not change when the tables do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _barred()
    _champion()
    _control()
    _counter()
    _detector_state()
    _epoch()
    _event()
    _incident()
    _label()
    _mark()
    _outbox()
    _pane()
    _record_key()
    _run()
    _verdict()


def downgrade() -> None:
    """Drop every table."""
    for name in (
        "verdict",
        "run",
        "record_key",
        "pane",
        "outbox",
        "mark",
        "label",
        "incident",
        "event",
        "epoch",
        "detector_state",
        "counter",
        "control",
        "champion",
        "barred",
    ):
        op.drop_table(name)


def _barred() -> None:
    op.create_table(
        "barred",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version"),
    )


def _champion() -> None:
    op.create_table(
        "champion",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )


def _control() -> None:
    op.create_table(
        "control",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )


def _counter() -> None:
    op.create_table(
        "counter",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "name", "reason"),
    )


def _detector_state() -> None:
    op.create_table(
        "detector_state",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("epoch_key", sa.String(length=32), nullable=False),
        sa.Column("detector", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("n_steps", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "epoch_key", "detector", "subject"),
    )


def _epoch() -> None:
    op.create_table(
        "epoch",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("reference_path", sa.Text(), nullable=True),
        sa.Column("reference_digest", sa.String(length=64), nullable=True),
        sa.Column("because", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "epoch"),
    )


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("event_model_kind", "event", ["model", "kind"], unique=False)


def _incident() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True),
        sa.Column("last_alarm_at", sa.Float(), nullable=False),
        sa.Column("subjects", sa.JSON(), nullable=False),
        sa.Column("harmful", sa.Boolean(), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incident_model", "incident", ["model", "opened_at"], unique=False)


def _label() -> None:
    op.create_table(
        "label",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("pane_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("joined_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("model", "key"),
    )
    op.create_index("label_pane", "label", ["model", "pane_id"], unique=False)
    op.create_index("label_received", "label", ["model", "received_at"], unique=False)
    op.create_index("label_state", "label", ["model", "state"], unique=False)


def _mark() -> None:
    op.create_table(
        "mark",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("done_at", sa.Float(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )


def _pane() -> None:
    op.create_table(
        "pane",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("end", sa.Float(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("n_seen", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("n_pairs", sa.BigInteger(), nullable=False),
        sa.Column("sketches", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("model", "version", "start", "seq"),
    )


def _record_key() -> None:
    op.create_table(
        "record_key",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("pane_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("model", "key"),
        sqlite_with_rowid=False,
    )


def _run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("entered_at", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("trigger", sa.JSON(), nullable=False),
        sa.Column("champion_version", sa.String(length=64), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("record", sa.JSON(), nullable=True),
        sa.Column("approved_by", sa.String(length=128), nullable=True),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("run_model", "run", ["model", "created_at"], unique=False)


def _verdict() -> None:
    op.create_table(
        "verdict",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("detector", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model", "detector", "subject"),
    )
