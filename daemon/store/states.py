"""States of sequential detectors, one blob a (model, epoch key, detector, subject); `daemon.store.codec` makes the blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from daemon.store import tables
from daemon.store.upsert import upsert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_t = tables.detector_state


def load(tx: Connection, model: str, epoch_key: str) -> dict[tuple[str, str], tuple[bytes, int]]:
    """(detector, subject) -> (state, steps taken); nothing for an epoch that has not begun."""
    query = select(_t).where(_t.c.model == model, _t.c.epoch_key == epoch_key)
    return {(row.detector, row.subject): (row.state, row.n_steps) for row in tx.execute(query)}


def are_of_another(tx: Connection, model: str, epoch_key: str) -> bool:
    """Whether the epoch has states, and all of them are of another key: the settings have changed since."""
    keys = set(tx.execute(select(_t.c.epoch_key).where(_t.c.model == model).distinct()).scalars())
    return bool(keys) and epoch_key not in keys


def save(tx: Connection, model: str, epoch_key: str, states: Mapping[tuple[str, str], tuple[bytes, int]]) -> None:
    """Keep states; belongs into the transaction that commits the pane which they stepped over."""
    rows = [
        {"model": model, "epoch_key": epoch_key, "detector": detector, "subject": subject, "state": state, "n_steps": n}
        for (detector, subject), (state, n) in states.items()
    ]
    upsert(tx, _t, rows)


def forget(tx: Connection, model: str) -> None:
    """A new epoch begins: no state of an earlier one is used again."""
    tx.execute(delete(_t).where(_t.c.model == model))
