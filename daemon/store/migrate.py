"""Bring a ledger's schema up to date: Alembic's revisions in `migrations/versions`, for SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0008"
"""The newest revision: a ledger that has it is left alone without importing Alembic."""


def upgrade(engine: Engine) -> bool:
    """Run what is missing, in one transaction (of a ledger's engine: two services that start at once do it one after the other).

    `Permanent(CONFLICT)` for a ledger that a newer version has written: nothing leads back.
    """
    with engine.begin() as tx:
        found = revision(tx)
        if found == HEAD:
            return False
        if found is not None and found > HEAD:
            known = f"the ledger is of a newer version (revision {found}, this one knows {HEAD})"
            raise Permanent(Reason.CONFLICT, f"{known}: start that version again, or restore a backup of before the upgrade")
        from alembic import command  # noqa: PLC0415 (costs 0.3 s, needed once)
        from alembic.config import Config  # noqa: PLC0415 (as above)

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = tx
        command.upgrade(config, "head")
        return True


def revision(tx: Connection) -> str | None:
    """The ledger's revision, or None when it is empty."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    found = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
