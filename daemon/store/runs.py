"""Runs: each state is entered in one transaction, by compare-and-set on the state before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from daemon.store import counters, tables
from daemon.store.ledger import note
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_t = tables.run


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One retraining, as the ledger has it."""

    id: str
    model: str
    state: str
    entered_at: float
    created_at: float
    ended_at: float | None
    trigger: dict[str, Any]
    """{subject, detector, because, at, incident}."""
    champion_version: str
    folder: str
    attempt: int
    """Of the current state, from 0."""
    version: str | None
    """What it registered."""
    record: dict[str, Any] | None
    """The gate record."""
    approved_by: str | None
    because: str
    detail: dict[str, Any]
    """State-specific: job handle, counts, watch fold, `train_s`."""


def create(
    tx: Connection, *, run_id: str, model: str, trigger: Mapping[str, Any], champion_version: str, folder: str, now: float, because: str
) -> Run:
    """A run in state "planned"; `Permanent(CONFLICT)` while another one of the model is active (single flight) or the id is taken."""
    other = active(tx, model)
    if other is not None or run(tx, run_id) is not None:
        raise Permanent(Reason.CONFLICT, f"{model} has run {other.id if other else run_id} already")
    new = Run(
        id=run_id,
        model=model,
        state="planned",
        entered_at=now,
        created_at=now,
        ended_at=None,
        trigger=dict(trigger),
        champion_version=champion_version,
        folder=folder,
        attempt=0,
        version=None,
        record=None,
        approved_by=None,
        because=because,
        detail={},
    )
    tx.execute(insert(_t).values({name: getattr(new, name) for name in Run.__dataclass_fields__}))
    note(tx, now, model, "run.entered", run=run_id, state="planned", before=None, because=because)
    return new


def enter(
    tx: Connection,
    run_id: str,
    state: str,
    *,
    expected: str,
    now: float,
    because: str,
    ended: bool = False,
    detail: Mapping[str, Any] | None = None,
    version: str | None = None,
    record: Mapping[str, Any] | None = None,
    approved_by: str | None = None,
) -> Run:
    """Go from state `expected` to `state`; `Permanent(CONFLICT)` when the run is elsewhere.

    `detail` is merged into the run's; None leaves version, record and approved_by as they are. Which edges exist is
    `daemon.decide.run`'s matter; `ended` says that the new state is final.
    """
    held = _get(tx, run_id)
    values: dict[str, Any] = {"state": state, "entered_at": now, "attempt": 0, "because": because, "ended_at": now if ended else None}
    values["detail"] = {**held.detail, **(detail or {})}
    given = {"version": version, "record": None if record is None else dict(record), "approved_by": approved_by}
    values |= {name: value for name, value in given.items() if value is not None}
    query = update(_t).where(_t.c.id == run_id, _t.c.state == expected, _t.c.ended_at.is_(None))
    if tx.execute(query.values(values)).rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"run {run_id} is {held.state}, expected {expected}")
    note(tx, now, held.model, "run.entered", run=run_id, state=state, before=expected, because=because, by=approved_by)
    if ended:
        counters.add(tx, held.model, {("ended_runs", state): 1})
    return _get(tx, run_id)


def keep(
    tx: Connection,
    run_id: str,
    *,
    expected: str,
    detail: Mapping[str, Any] | None = None,
    attempt: int | None = None,
    because: str | None = None,
) -> Run:
    """Store progress within a state (merged into `detail`) without an event; `Permanent(CONFLICT)` when the run is elsewhere."""
    held = _get(tx, run_id)
    values: dict[str, Any] = {"detail": {**held.detail, **(detail or {})}}
    values |= {name: value for name, value in {"attempt": attempt, "because": because}.items() if value is not None}
    if tx.execute(update(_t).where(_t.c.id == run_id, _t.c.state == expected).values(values)).rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"run {run_id} is {held.state}, expected {expected}")
    return _get(tx, run_id)


def run(tx: Connection, run_id: str) -> Run | None:
    """One run."""
    row = tx.execute(select(_t).where(_t.c.id == run_id)).first()
    return None if row is None else Run(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def active(tx: Connection, model: str) -> Run | None:
    """The model's run that has not ended: at most one."""
    row = tx.execute(select(_t).where(_t.c.model == model, _t.c.ended_at.is_(None)).order_by(_t.c.created_at)).first()
    return None if row is None else Run(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def runs(tx: Connection, model: str, *, limit: int = 50) -> list[Run]:
    """The newest runs of a model, newest first."""
    query = select(_t).where(_t.c.model == model).order_by(_t.c.created_at.desc(), _t.c.id).limit(limit)
    return [Run(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 (SQLAlchemy's API)


def folders_of(tx: Connection, model: str, version: str) -> list[str]:
    """Folders of the runs that registered a version."""
    return list(tx.execute(select(_t.c.folder).where(_t.c.model == model, _t.c.version == version)).scalars())


def n_by_state(tx: Connection, model: str) -> dict[str, int]:
    """State -> how many runs are in it now."""
    query = select(_t.c.state, func.count()).where(_t.c.model == model).group_by(_t.c.state)
    return {state: int(n) for state, n in tx.execute(query)}


def training_s(tx: Connection, model: str, *, since: float) -> float:
    """Seconds of training (`detail["train_s"]`) of the runs created since then: what the budget counts."""
    rows = tx.execute(select(_t.c.detail).where(_t.c.model == model, _t.c.created_at >= since))
    return float(sum(float(detail.get("train_s", 0.0)) for (detail,) in rows))


def _get(tx: Connection, run_id: str) -> Run:
    found = run(tx, run_id)
    if found is None:
        raise Permanent(Reason.NOT_FOUND, f"no run {run_id}")
    return found
