"""Panes say which share of records was kept in them, so that a window can tell where that changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """One column; of panes of before it is not known."""
    op.add_column("pane", sa.Column("sample_ratio", sa.Float()))
