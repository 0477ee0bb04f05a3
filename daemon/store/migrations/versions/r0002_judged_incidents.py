"""What a person says about an incident: acknowledged, muted, judged; and what of it is held until it has been quiet."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "acknowledged_by": sa.String(length=128),
    "acknowledged_at": sa.Float(),
    "muted_until": sa.Float(),
    "muted_by": sa.String(length=128),
    "judged": sa.String(length=16),
    "judged_by": sa.String(length=128),
    "judged_at": sa.Float(),
    "note": sa.Text(),
    "held": sa.JSON(),
}


def upgrade() -> None:
    """Add the columns; incidents of before are neither acknowledged nor judged."""
    for name, kind in _COLUMNS.items():
        op.add_column("incident", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Drop them."""
    for name in _COLUMNS:
        op.drop_column("incident", name)
