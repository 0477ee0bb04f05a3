"""Incidents say what may be believed of them: which subjects surely changed, and whether anything did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """One column; incidents of before have no evidence."""
    op.add_column("incident", sa.Column("evidence", sa.JSON()))
