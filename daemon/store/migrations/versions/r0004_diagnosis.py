"""Incidents say what they mean: harmful, benign or unknown, by which shift, on which labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """One column; incidents of before have no diagnosis."""
    op.add_column("incident", sa.Column("diagnosis", sa.JSON()))
