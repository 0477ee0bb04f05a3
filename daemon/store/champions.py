"""Who is champion: one row a model, moved by compare-and-set, with the epoch, the event and the outbox row in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from daemon.store import counters, outbox, tables
from daemon.store.closed import Reign
from daemon.store.epochs import Epoch, epoch, start_epoch
from daemon.store.ledger import note
from daemon.store.upsert import upsert
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from sqlalchemy import Connection

_t = tables.champion


class Move(StrEnum):
    """How a champion came to be; the metric's label."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ADOPTED = "adopted"
    """Somebody else made it so; the first one of a model is no move."""


class Stranger(StrEnum):
    """What was done about an alias that somebody else moved; the metric's label."""

    ADOPTED = "adopted"
    UNDONE = "undone"
    RESTORED = "restored"
    """It had been deleted."""
    VERSION_DELETED = "version_deleted"
    """Nothing can be done: a person is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Champion:
    """The champion of one model."""

    model: str
    version: str
    previous: str | None
    """Where a rollback goes: the newest earlier version that is not barred."""
    epoch: int
    revision: int
    """Goes up by one with every move; what `move_champion` compares."""
    since: float
    """When the version became champion; an epoch with another reference of the same champion may have begun later."""


def champion(tx: Connection, model: str) -> Champion | None:
    """The champion, or None before the first version is known."""
    row = tx.execute(select(_t).where(_t.c.model == model)).first()
    return None if row is None else Champion(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def reigns(tx: Connection) -> dict[str, Reign]:
    """Every model's champion, and from when on its records and answers count."""
    e = tables.epoch.c
    query = select(_t, e.started_at).join(tables.epoch, (e.model == _t.c.model) & (e.epoch == _t.c.epoch))
    return {row.model: Reign(row.version, row.started_at, row.since, row.epoch) for row in tx.execute(query)}


def adopt(
    tx: Connection,
    model: str,
    version: str,
    *,
    now: float,
    because: str,
    reference_path: str | None = None,
    reference_digest: str | None = None,
) -> Epoch:
    """Take as champion what somebody else made it: the first version, or a move by hand in the registry.

    Adopting the present champion changes nothing and gives its epoch. No outbox row: the alias stands there already.
    """
    now_champion = champion(tx, model)
    if now_champion is not None and now_champion.version == version:
        return _epoch_of(tx, now_champion)
    revision = 1 if now_champion is None else now_champion.revision + 1
    new = start_epoch(tx, model, version, now=now, because=because, reference_path=reference_path, reference_digest=reference_digest)
    row = _row(tx, new, revision)
    if now_champion is None:
        tx.execute(insert(_t).values(row))
    else:
        tx.execute(update(_t).where(_t.c.model == model).values(row))
        counters.add(tx, model, {("champion_moves", Move.ADOPTED.value): 1})
    note(
        tx, now, model, "champion.adopted", version=version, before=now_champion and now_champion.version, epoch=new.epoch, because=because
    )
    return new


def move_champion(
    tx: Connection,
    model: str,
    version: str,
    *,
    expected_revision: int,
    now: float,
    because: str,
    how: Move = Move.PROMOTED,
    reference_path: str | None = None,
    reference_digest: str | None = None,
) -> Epoch:
    """Promote or roll back, by compare-and-set: event, epoch, champion and the "aliases" outbox row, all or nothing.

    Without a reference that of the version's last epoch comes back. `Permanent(CONFLICT)` when the champion moved meanwhile,
    `Permanent(REFUSED)` when the version is barred, `Permanent(NOT_FOUND)` when the model has no champion.
    """
    before = champion(tx, model)
    if before is None:
        raise Permanent(Reason.NOT_FOUND, f"{model} has no champion yet")
    if before.revision != expected_revision or before.version == version:
        raise Permanent(
            Reason.CONFLICT, f"champion of {model} is {before.version} (revision {before.revision}), expected {expected_revision}"
        )
    if is_barred(tx, model, version):
        raise Permanent(Reason.REFUSED, f"version {version} of {model} is barred")
    new = start_epoch(tx, model, version, now=now, because=because, reference_path=reference_path, reference_digest=reference_digest)
    row = _row(tx, new, expected_revision + 1)
    moved = tx.execute(update(_t).where(_t.c.model == model, _t.c.revision == expected_revision).values(row))
    if moved.rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"champion of {model} moved meanwhile")
    note(tx, now, model, "champion.moved", version=version, before=before.version, epoch=new.epoch, how=how.value, because=because)
    counters.add(tx, model, {("champion_moves", how.value): 1})
    payload = {"champion": version, "previous": row["previous"], "revision": row["revision"], "because": because}
    outbox.put(tx, key=f"aliases:{model}:{row['revision']}", model=model, kind="aliases", payload=payload, now=now)
    return new


def renew(
    tx: Connection,
    held: Champion,
    *,
    now: float,
    because: str,
    reference_path: str,
    reference_digest: str | None,
    absorbed_from: int | None,
) -> Epoch:
    """A new epoch of the same champion, with another reference, by compare-and-set; aliases and `since` stay as they are.

    `Permanent(CONFLICT)` when the champion or its epoch moved since `held` was read.
    """
    new = start_epoch(
        tx,
        held.model,
        held.version,
        now=now,
        because=because,
        reference_path=reference_path,
        reference_digest=reference_digest,
        absorbed_from=absorbed_from,
    )
    query = update(_t).where(_t.c.model == held.model, _t.c.revision == held.revision)
    if tx.execute(query.values(epoch=new.epoch, revision=held.revision + 1)).rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"the champion of {held.model} or its reference moved meanwhile")
    return new


def bar(tx: Connection, model: str, version: str, *, now: float, because: str) -> None:
    """Never make this version champion again; a champion's `previous` that is barred gives way to the one before."""
    upsert(tx, tables.barred, [{"model": model, "version": version, "at": now, "because": because}])
    note(tx, now, model, "version.barred", version=version, because=because)
    held = champion(tx, model)
    if held is not None and held.previous == version:
        tx.execute(update(_t).where(_t.c.model == model).values(previous=_previous(tx, model, held.version)))


def is_barred(tx: Connection, model: str, version: str) -> bool:
    """Whether it was rolled back from."""
    table = tables.barred
    return tx.execute(select(table.c.at).where(table.c.model == model, table.c.version == version)).first() is not None


def barred(tx: Connection, model: str) -> dict[str, str]:
    """Barred version -> why."""
    table = tables.barred
    return {row.version: row.because for row in tx.execute(select(table).where(table.c.model == model))}


def _row(tx: Connection, new: Epoch, revision: int) -> dict[str, object]:
    return {
        "model": new.model,
        "version": new.version,
        "previous": _previous(tx, new.model, new.version),
        "epoch": new.epoch,
        "revision": revision,
        "since": new.started_at,
    }


def _previous(tx: Connection, model: str, version: str) -> str | None:
    """The newest other version that was champion and is not barred."""
    t, out = tables.epoch, select(tables.barred.c.version).where(tables.barred.c.model == model)
    query = select(t.c.version).where(t.c.model == model, t.c.version != version, t.c.version.not_in(out))
    return tx.execute(query.order_by(t.c.epoch.desc()).limit(1)).scalar()


def _epoch_of(tx: Connection, held: Champion) -> Epoch:
    found = epoch(tx, held.model, held.epoch)
    if found is None:
        raise Permanent(Reason.NOT_FOUND, f"epoch {held.epoch} of {held.model} is missing from the ledger")
    return found
