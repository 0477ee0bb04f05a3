"""Epochs: the spans in which one version was champion and was compared with one reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from daemon.store import states, tables
from daemon.store.ledger import note
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

_t = tables.epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """One epoch. Times in seconds since the epoch, UTC."""

    model: str
    epoch: int
    version: str
    started_at: float
    ended_at: float | None
    reference_path: str | None
    """Folder with records.parquet and bound.parquet; None = still learning."""
    reference_digest: str | None
    because: str
    absorbed_from: int | None = None
    """The epoch whose reference comes back when the absorbing is undone; None = nothing was absorbed."""


def _epoch(row: Row[tuple[object, ...]] | None) -> Epoch | None:
    return None if row is None else Epoch(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def epoch(tx: Connection, model: str, number: int) -> Epoch | None:
    """One epoch by its number."""
    return _epoch(tx.execute(select(_t).where(_t.c.model == model, _t.c.epoch == number)).first())


def epochs(tx: Connection, model: str, *, limit: int = 50) -> list[Epoch]:
    """The newest epochs, newest first."""
    rows = tx.execute(select(_t).where(_t.c.model == model).order_by(_t.c.epoch.desc()).limit(limit))
    return [Epoch(**row._mapping) for row in rows]  # noqa: SLF001 (SQLAlchemy's API)


def last_epoch(tx: Connection, model: str, version: str) -> Epoch | None:
    """The newest epoch of a version: where its reference is found again at a rollback."""
    query = select(_t).where(_t.c.model == model, _t.c.version == version).order_by(_t.c.epoch.desc()).limit(1)
    return _epoch(tx.execute(query).first())


def undoable(tx: Connection, model: str, last: Epoch | None) -> list[Epoch]:
    """The epochs whose references come back one after the other when absorbings are undone, the next one first."""
    found: list[Epoch] = []
    while last is not None and last.absorbed_from is not None:
        last = epoch(tx, model, last.absorbed_from)
        found += [last] if last is not None else []
    return found


def start_epoch(
    tx: Connection,
    model: str,
    version: str,
    *,
    now: float,
    because: str,
    reference_path: str | None,
    reference_digest: str | None,
    absorbed_from: int | None = None,
) -> Epoch:
    """End the running epoch, with its detectors' states, and start the next; without a reference the version's last one comes back."""
    before = last_epoch(tx, model, version)
    if reference_path is None and before is not None:
        reference_path, reference_digest, absorbed_from = before.reference_path, before.reference_digest, before.absorbed_from
    number = (tx.execute(select(func.max(_t.c.epoch)).where(_t.c.model == model)).scalar() or 0) + 1
    tx.execute(update(_t).where(_t.c.model == model, _t.c.ended_at.is_(None)).values(ended_at=now))
    new = Epoch(
        model=model,
        epoch=number,
        version=version,
        started_at=now,
        ended_at=None,
        reference_path=reference_path,
        reference_digest=reference_digest,
        because=because,
        absorbed_from=absorbed_from,
    )
    tx.execute(insert(_t).values({name: getattr(new, name) for name in Epoch.__dataclass_fields__}))
    states.forget(tx, model)
    return new


def pin_reference(tx: Connection, model: str, number: int, *, path: str, digest: str, now: float) -> None:
    """Give a learning epoch its reference; `Permanent(CONFLICT)` when it has one already (a reference never changes in an epoch)."""
    query = update(_t).where(_t.c.model == model, _t.c.epoch == number, _t.c.reference_digest.is_(None))
    if tx.execute(query.values(reference_path=path, reference_digest=digest)).rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"epoch {number} of {model} is unknown or has a reference already")
    note(tx, now, model, "reference.pinned", epoch=number, path=path, digest=digest)
