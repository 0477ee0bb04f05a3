"""What one closed pane writes into the ledger, inside the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import bindparam, insert, update

from daemon.store import tables
from daemon.store.joining import value_of
from daemon.store.key_blocks import PLACE, in_order
from daemon.store.key_filter import keys_array
from daemon.store.panes import insert_pane

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from daemon.store.closed import ClosedPane, Join, Part
    from daemon.store.key_runs import KeyRuns


def commit_pane(tx: Connection, pane: ClosedPane, runs: KeyRuns, *, now: float) -> None:
    """Pane rows, record keys and labels."""
    ids = [_insert_part(tx, pane.model, part) for part in pane.parts]
    _add_keys(tx, pane, ids, runs)
    new = [_label_row(pane.model, join, ids, now) for join in pane.joins if join.is_new]
    if new:
        tx.execute(insert(tables.label), new)
    _update_waiting(tx, pane, ids, now)


def _add_keys(tx: Connection, pane: ClosedPane, ids: list[int], runs: KeyRuns) -> None:
    """All keys of the pane as one run: the parts' in the order of their rows, then those that were not sampled."""
    keys = [key for part in pane.parts for key in part.keys] + [key for key, _ in pane.unsampled]
    if not keys:
        return
    ats = [at for part in pane.parts for at in part.ats] + [at for _, at in pane.unsampled]
    places, begin = np.zeros(len(keys), PLACE), 0
    for part, pane_id in zip(pane.parts, ids, strict=True):
        mine = places[begin : (begin := begin + part.n)]
        mine["pane"], mine["row"] = pane_id, np.arange(part.n)
    runs.add(tx, pane.model, in_order(keys_array(keys), places), since=min(ats), until=max(ats))


def _insert_part(tx: Connection, model: str, part: Part) -> int:
    return insert_pane(
        tx,
        model=model,
        version=part.version,
        start=part.start,
        end=part.end,
        seq=part.seq,
        path=part.path,
        sample_ratio=part.sample_ratio,
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
