"""Builds the snapshot from the ledger, inside the caller's transaction; writes nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from daemon.show.views import (
    LOG10_LIMIT,
    ChampionView,
    EpochView,
    EventView,
    EvidenceView,
    Health,
    IncidentView,
    ModelView,
    RunView,
    Snapshot,
    VerdictView,
    WindowView,
)
from daemon.store import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.settings import ModelSettings, Settings

__all__ = ["Health", "Snapshot", "snapshot"]

_NEWEST_RUNS = 50
_NEWEST_INCIDENTS = 50
_NEWEST_EVENTS = 100
_DAY_S = 86400.0


def snapshot(tx: Connection, settings: Settings, now: float, health: Health) -> Snapshot:
    """Everything that can be seen at `now`, one transaction's view of the ledger."""
    return Snapshot(at=now, health=health, models=tuple(_model(tx, m, now) for m in settings.models))


def _model(tx: Connection, model: ModelSettings, now: float) -> ModelView:
    champion = _champion(tx, model.name)
    epoch = _epoch(tx, model, now)
    paused = _row(tx, tables.control, tables.control.c.model == model.name)
    outbox = tables.outbox.c
    waiting = select(func.count(), func.min(outbox.created_at)).where(outbox.model == model.name, outbox.done_at.is_(None))
    outbox_n, oldest = tx.execute(waiting).one()
    return ModelView(
        name=model.name,
        task=model.task,
        autonomy=str(model.retrain.autonomy) if model.retrain else None,
        champion=champion,
        epoch=epoch,
        is_paused=bool(paused and paused["paused"]),
        paused_because=f"{paused['by']}: {paused['because']}" if paused and paused["paused"] else None,
        window=_window(tx, model, champion.version, now) if champion else None,
        verdicts=_verdicts(tx, model.name, epoch),
        incidents=_incidents(tx, model.name),
        runs=_runs(tx, model.name),
        events=_events(tx, model.name),
        counters=_counters(tx, model.name),
        runs_by_state=_runs_by_state(tx, model.name),
        outbox_n=outbox_n,
        outbox_oldest_at=oldest,
    )


def _row(tx: Connection, table: Any, *where: ColumnElement[bool]) -> RowMapping | None:  # noqa: ANN401 (sqlalchemy.Table)
    return tx.execute(select(table).where(*where)).mappings().first()


def _champion(tx: Connection, model: str) -> ChampionView | None:
    row = _row(tx, tables.champion, tables.champion.c.model == model)
    if row is None:
        return None
    return ChampionView(version=row["version"], previous=row["previous"], since=row["since"], revision=row["revision"])


def _epoch(tx: Connection, model: ModelSettings, now: float) -> EpochView | None:
    c = tables.epoch.c
    query = select(tables.epoch).where(c.model == model.name, c.ended_at.is_(None)).order_by(c.epoch.desc()).limit(1)
    row = tx.execute(query).mappings().first()
    if row is None:
        return None
    is_learning = row["reference_path"] is None
    return EpochView(
        epoch=row["epoch"],
        version=row["version"],
        started_at=row["started_at"],
        is_learning=is_learning,
        learned_ratio=_learned(tx, model, row, now) if is_learning else 1.0,
        reference_digest=row["reference_digest"],
        because=row["because"],
    )


def _learned(tx: Connection, model: ModelSettings, epoch: RowMapping, now: float) -> float:
    """The slower of days and records, 0-1."""
    pane = tables.pane.c
    total = select(func.coalesce(func.sum(pane.n), 0))
    n: int = tx.execute(
        total.where(pane.model == model.name, pane.version == epoch["version"], pane.start >= epoch["started_at"])
    ).scalar_one()
    wanted = model.reference
    days = max(0.0, now - epoch["started_at"]) / (wanted.learn_days * _DAY_S)
    return float(min(1.0, days, n / wanted.learn_n))


def _window(tx: Connection, model: ModelSettings, version: str, now: float) -> WindowView:
    pane = tables.pane.c
    start = now - model.monitors.window_s
    query = select(func.sum(pane.n_seen), func.sum(pane.n), func.sum(pane.n_pairs), func.max(pane.end))
    sums = tx.execute(query.where(pane.model == model.name, pane.version == version, pane.start >= start)).one()
    n_seen, n, n_pairs = (int(x or 0) for x in sums[:3])
    end = sums[3]
    return WindowView(version=version, start=start, end=end or now, n_seen=n_seen, n=n, n_pairs=n_pairs)


def _verdicts(tx: Connection, model: str, epoch: EpochView | None) -> tuple[VerdictView, ...]:
    """The latest of the present epoch: another version's verdicts say nothing about this one."""
    c = tables.verdict.c
    if epoch is None:
        return ()
    query = select(tables.verdict).where(c.model == model, c.epoch == epoch.epoch).order_by(c.subject, c.detector)
    return tuple(_verdict(row) for row in tx.execute(query).mappings())


def _verdict(row: RowMapping) -> VerdictView:
    data = row["data"]
    return VerdictView(
        detector=row["detector"],
        subject=row["subject"],
        outcome=data["outcome"],
        evidence=evidence_view(data["evidence"]),
        value=data["value"],
        low=data["low"],
        high=data["high"],
        n=data["n"],
        because=data["because"],
        at=row["at"],
        epoch=row["epoch"],
    )


def evidence_view(data: Mapping[str, Any]) -> EvidenceView:
    """Evidence as the ledger keeps it (its fields as JSON), told apart by its fields; log10 within +-`LOG10_LIMIT`."""
    if "p" in data:
        return EvidenceView(kind="p_value", p=data["p"], alpha=data["alpha"], limit=data["alpha"])
    if "distance" in data:
        return EvidenceView(kind="score", distance=data["distance"], limit=data["limit"])
    log10_e = max(-LOG10_LIMIT, min(LOG10_LIMIT, float(data["log10_e"])))
    kind = "e_detector_value" if "delta" in data else "e_value"
    return EvidenceView(kind=kind, log10_e=log10_e, alpha=data["alpha"], delta=data.get("delta"), limit=-math.log10(data["alpha"]))


def _incidents(tx: Connection, model: str) -> tuple[IncidentView, ...]:
    c = tables.incident.c
    query = select(tables.incident).where(c.model == model).order_by(c.opened_at.desc(), c.id.desc()).limit(_NEWEST_INCIDENTS)
    return tuple(
        IncidentView(
            id=row["id"],
            epoch=row["epoch"],
            opened_at=row["opened_at"],
            closed_at=row["closed_at"],
            last_alarm_at=row["last_alarm_at"],
            subjects=row["subjects"],
            is_harmful=row["harmful"],
            report=f"/reports/{row['id']}" if row["report"] else None,
        )
        for row in tx.execute(query).mappings()
    )


def _runs(tx: Connection, model: str) -> tuple[RunView, ...]:
    c = tables.run.c
    query = select(tables.run).where(c.model == model).order_by(c.created_at.desc(), c.id.desc()).limit(_NEWEST_RUNS)
    kept = RunView.__dataclass_fields__
    return tuple(RunView(**{k: v for k, v in row.items() if k in kept}) for row in tx.execute(query).mappings())


def _events(tx: Connection, model: str) -> tuple[EventView, ...]:
    c = tables.event.c
    query = select(c.id, c.at, c.kind, c.data).where(c.model == model).order_by(c.id.desc()).limit(_NEWEST_EVENTS)
    return tuple(EventView(**row) for row in tx.execute(query).mappings())


def _counters(tx: Connection, model: str) -> dict[str, dict[str, int]]:
    c = tables.counter.c
    found: dict[str, dict[str, int]] = {}
    for name, reason, n in tx.execute(select(c.name, c.reason, c.n).where(c.model == model).order_by(c.name, c.reason)):
        found.setdefault(name, {})[reason] = n
    return found


def _runs_by_state(tx: Connection, model: str) -> dict[str, int]:
    c = tables.run.c
    rows = tx.execute(select(c.state, func.count()).where(c.model == model).group_by(c.state))
    return {row[0]: row[1] for row in rows}
