"""Pause: stops everything automatic for a model and survives a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.store import tables
from daemon.store.ledger import note
from daemon.store.upsert import upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

_t = tables.control


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """Whether a model is paused, by whom and why."""

    model: str
    paused: bool
    by: str
    because: str
    at: float


def control(tx: Connection, model: str) -> Control | None:
    """The last word, or None when nobody ever said one (not paused)."""
    row = tx.execute(select(_t).where(_t.c.model == model)).first()
    return None if row is None else Control(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def is_paused(tx: Connection, model: str) -> bool:
    """Whether automatic action is stopped."""
    return bool(tx.execute(select(_t.c.paused).where(_t.c.model == model)).scalar())


def pause(tx: Connection, model: str, *, by: str, because: str, now: float) -> None:
    """Stop everything automatic."""
    _say(tx, Control(model=model, paused=True, by=by, because=because, at=now))


def resume(tx: Connection, model: str, *, by: str, because: str, now: float) -> None:
    """Go on."""
    _say(tx, Control(model=model, paused=False, by=by, because=because, at=now))


def _say(tx: Connection, new: Control) -> None:
    upsert(tx, _t, [{name: getattr(new, name) for name in Control.__dataclass_fields__}])
    kind = "paused" if new.paused else "resumed"
    note(tx, new.at, new.model, kind, by=new.by, because=new.because)
