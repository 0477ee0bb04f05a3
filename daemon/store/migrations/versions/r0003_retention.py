"""Retention: panes are found by age, and files whose rows are gone are remembered until they are gone too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One index, one table."""
    op.create_index("pane_start", "pane", ["model", "start"], unique=False)
    op.create_table("doomed", sa.Column("path", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("path"))
