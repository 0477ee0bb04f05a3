"""How far the spool is in the ledger, and what a restarted intake has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from daemon.store import tables
from daemon.store.ports import Mark

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from daemon.settings import ModelSettings


def marks_of(tx: Connection) -> dict[str, Mark]:
    """Name -> mark: "spool", "pulled", and the number of commits as "commits"."""
    return {row.name: Mark(row.segment, row.offset) for row in tx.execute(select(tables.mark))}


def newest_pane(tx: Connection, model: ModelSettings, *, until: float | None = None) -> int | None:
    """Index of the model's newest committed pane; `until`: of those that had ended by then."""
    query = select(func.max(tables.pane.c.start)).where(tables.pane.c.model == model.name)
    start = tx.execute(query if until is None else query.where(tables.pane.c.end <= until)).scalar()
    return None if start is None else round(start / model.monitors.pane_s)


def n_waiting(tx: Connection, model: str) -> int:
    """Labels that wait for their record."""
    t = tables.label
    return int(tx.execute(select(func.count()).where(t.c.model == model, t.c.state == "waiting")).scalar_one())
