"""Counts that survive a restart: `accepted = stored + dropped by reason` holds because they move with the panes they count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.store import tables
from daemon.store.upsert import add_to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_t = tables.counter


def add(tx: Connection, model: str, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to counters: (name, reason) -> n; zeros are left out."""
    rows = [{"model": model, "name": name, "reason": reason, "n": n} for (name, reason), n in counts.items() if n]
    add_to(tx, _t, rows, column="n")


def counters(tx: Connection, model: str) -> dict[tuple[str, str], int]:
    """(name, reason) -> n of one model."""
    return {(row.name, row.reason): row.n for row in tx.execute(select(_t).where(_t.c.model == model))}
