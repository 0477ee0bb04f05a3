"""The latest verdict of each detector on each subject, for show and for the next decision."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from daemon.store import tables
from daemon.store.upsert import upsert
from detectors.types import EDetectorValue, EValue, Evidence, Outcome, PValue, Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

_t = tables.verdict
_EVIDENCE: dict[str, type[PValue | EValue | EDetectorValue | Score]] = {c.__name__: c for c in (PValue, EValue, EDetectorValue, Score)}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVerdict:
    """A verdict with the end of the window or increment that it looked at, and the epoch that it belongs to."""

    verdict: Verdict
    at: float
    epoch: int


def to_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON; an infinite e-value as "inf" or "-inf" (JSON has no infinity)."""
    evidence = {name: str(x) if isinstance(x, float) and math.isinf(x) else x for name, x in asdict(verdict.evidence).items()}
    return {
        **asdict(replace(verdict, e_value=None)),
        "outcome": str(verdict.outcome),
        "evidence": {"type": type(verdict.evidence).__name__, **evidence},
    }


def from_json(data: dict[str, Any]) -> Verdict:
    """The inverse of `to_json`; `ValueError` for anything else."""
    try:
        raw = dict(data["evidence"])
        kind = _EVIDENCE[raw.pop("type")]
        evidence: Evidence = kind(**{name: float(x) for name, x in raw.items()})
        figures = {name: float(data[name]) for name in ("value", "low", "high")}
        return Verdict(**{**data, **figures, "outcome": Outcome(data["outcome"]), "evidence": evidence})
    except (KeyError, TypeError, AttributeError) as e:
        msg = f"not a stored verdict: {e!r}"
        raise ValueError(msg) from e


def save(tx: Connection, model: str, verdicts: Iterable[Verdict], *, at: float, epoch: int) -> None:
    """Keep these as the latest."""
    upsert(
        tx,
        _t,
        [{"model": model, "detector": v.detector, "subject": v.subject, "at": at, "epoch": epoch, "data": to_json(v)} for v in verdicts],
    )


def latest(tx: Connection, model: str, *, epoch: int | None = None) -> list[StoredVerdict]:
    """The latest verdicts, by detector and subject; of one epoch only when given. One that does not read is left out."""
    return read(tx, model, epoch=epoch)[0]


def read(tx: Connection, model: str, *, epoch: int | None = None) -> tuple[list[StoredVerdict], list[str]]:
    """As `latest`, and a sentence for each that does not read."""
    query = select(_t).where(_t.c.model == model).order_by(_t.c.detector, _t.c.subject)
    if epoch is not None:
        query = query.where(_t.c.epoch == epoch)
    found, damaged = [], []
    for row in tx.execute(query):
        try:
            found.append(StoredVerdict(verdict=from_json(row.data), at=row.at, epoch=row.epoch))
        except ValueError as e:
            damaged.append(f"the verdict of {row.detector} on {row.subject}: {e}; it is left out until the detector speaks again")
    return found, damaged


def newest_at(tx: Connection, model: str) -> float | None:
    """When the newest of all epochs looked; None = nothing was judged yet."""
    return tx.execute(select(func.max(_t.c.at)).where(_t.c.model == model)).scalar()


def keep_only(tx: Connection, model: str, monitors: Collection[tuple[str, str]], *, epoch: int) -> list[tuple[str, str]]:
    """Drop verdicts of an epoch by monitors other than these (detector, subject): nobody says them any more. Gives whose they were."""
    held = tx.execute(select(_t.c.detector, _t.c.subject).where(_t.c.model == model, _t.c.epoch == epoch))
    gone = sorted({(row.detector, row.subject) for row in held} - {*monitors})
    for detector, subject in gone:
        tx.execute(delete(_t).where(_t.c.model == model, _t.c.detector == detector, _t.c.subject == subject))
    return gone


def forget(tx: Connection, model: str, *, before_epoch: int) -> None:
    """Drop verdicts of earlier epochs: they are about another version."""
    tx.execute(delete(_t).where(_t.c.model == model, _t.c.epoch < before_epoch))
