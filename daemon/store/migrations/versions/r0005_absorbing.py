"""Epochs say which reference comes back when the absorbing of a shift is undone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """One column; nothing was absorbed before."""
    op.add_column("epoch", sa.Column("absorbed_from", sa.Integer()))
