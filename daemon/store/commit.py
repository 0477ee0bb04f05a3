"""What one closed pane writes into the ledger, inside the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, update

from daemon.store import tables
from daemon.store.joining import value_of
from daemon.store.keys import insert_keys
from daemon.store.panes import insert_pane

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from daemon.store.closed import ClosedPane, Join, Part


def commit_pane(tx: Connection, pane: ClosedPane, *, now: float) -> None:
    """Pane rows, record keys and labels."""
    ids = [_insert_part(tx, pane.model, part) for part in pane.parts]
    rows: list[tuple[str, bytes, float, int | None, int | None]] = []
    for part, pane_id in zip(pane.parts, ids, strict=True):
        rows += [(pane.model, key, at, pane_id, row) for row, (key, at) in enumerate(zip(part.keys, part.ats, strict=True))]
    rows += [(pane.model, key, at, None, None) for key, at in pane.unsampled]
    insert_keys(tx, rows)
    new = [_label_row(pane.model, join, ids, now) for join in pane.joins if join.is_new]
    if new:
        tx.execute(insert(tables.label), new)
    _update_waiting(tx, pane, ids, now)


def _insert_part(tx: Connection, model: str, part: Part) -> int:
    return insert_pane(
        tx,
        model=model,
        version=part.version,
        start=part.start,
        end=part.end,
        seq=part.seq,
        path=part.path,
        n_seen=part.n_seen,
        n=part.n,
        n_pairs=part.n_pairs,
        summary=part.summary,
        confusion=part.confusion,
        judged=part.judged,
    )


def _place(join: Join, ids: list[int], now: float) -> dict[str, Any]:
    is_joined = join.state == "joined"
    pane_id = ids[join.part] if join.part is not None else join.pane_id
    return {"state": join.state, "pane_id": pane_id, "row": join.row, "joined_at": now if is_joined else None}


def _label_row(model: str, join: Join, ids: list[int], now: float) -> dict[str, Any]:
    held = join.held
    return {
        "model": model,
        "key": held.key,
        "record_id": held.label.id,
        "at": held.at,
        "received_at": held.received_at,
        "value": value_of(held.label),
        "source": held.label.source,
        **_place(join, ids, now),
    }


def _update_waiting(tx: Connection, pane: ClosedPane, ids: list[int], now: float) -> None:
    """Labels that waited for records of this pane."""
    t = tables.label
    rows = [{"k": j.held.key, **{f"new_{n}": x for n, x in _place(j, ids, now).items()}} for j in pane.joins if not j.is_new]
    if rows:
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in ("state", "pane_id", "row", "joined_at")}
        tx.execute(update(t).where(t.c.model == pane.model, t.c.key == bindparam("k")).values(values), rows)
