"""Builds the snapshot from the ledger, inside the caller's transaction; writes nothing."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import func, select

from daemon.decide.run import State
from daemon.show.views import (
    LOG10_LIMIT,
    ChampionView,
    EpochView,
    EventView,
    EvidenceView,
    Health,
    IncidentView,
    ModelView,
    PrecisionView,
    RunView,
    Snapshot,
    VerdictView,
    WindowView,
)
from daemon.store import champions, controls, counters, epochs, incidents, judgements, outbox, panes, runs, tables, verdicts
from daemon.store.damage import BROKEN, REMEDY, said, sentences
from daemon.store.ledger import events
from daemon.store.marks import newest_pane
from detectors.performance.rate import binomial
from detectors.types import EDetectorValue, EValue, Evidence, PValue, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings, Settings

_NEWEST_RUNS = 50
_NEWEST_INCIDENTS = 50
_NEWEST_EVENTS = 100
_NEWEST_PANES = 10
_DAY_S = 86400.0
_ALPHA = 0.05  # of the interval of the alarms' precision


def snapshot(tx: Connection, settings: Settings, now: float, health: Health) -> Snapshot:
    """Everything that can be seen at `now`, one transaction's view of the ledger."""
    models = tuple(_shown(tx, m, now, health) for m in settings.models)
    waiting = outbox.pending(tx, kind="send")
    return Snapshot(
        at=now,
        health=health,
        models=models,
        unassigned=_counters(tx, ""),
        notification_oldest_at=waiting[0].created_at if waiting else None,
        url=settings.http.url,
        version=_version(),
    )


@cache
def _version() -> str:
    return version("retuned")


def evidence_view(evidence: Evidence) -> EvidenceView:
    """Evidence, flat; log10 within +-`LOG10_LIMIT`."""
    match evidence:
        case PValue(p=p, alpha=alpha):
            return EvidenceView(kind="p_value", p=p, alpha=alpha, limit=alpha)
        case EValue(log10_e=e, alpha=alpha):
            return EvidenceView(kind="e_value", log10_e=_bounded(e), alpha=alpha, limit=-math.log10(alpha))
        case EDetectorValue(log10_e=e, alpha=alpha, delta=delta):
            return EvidenceView(kind="e_detector_value", log10_e=_bounded(e), alpha=alpha, delta=delta, limit=-math.log10(alpha))
        case Score(distance=distance, limit=limit):
            return EvidenceView(kind="score", distance=distance, limit=limit)
        case _:
            assert_never(evidence)


def _bounded(log10_e: float) -> float:
    return max(-LOG10_LIMIT, min(LOG10_LIMIT, log10_e))


def _shown(tx: Connection, model: ModelSettings, now: float, health: Health) -> ModelView:
    """A model whose rows are not what they should be is shown empty, with what does not read: the others are shown."""
    try:
        return _model(tx, model, now, health)
    except BROKEN as e:
        because = f"the model's rows in the ledger cannot be shown: {said(e)}; {REMEDY}"
        empty: dict[str, Any] = {f.name: None for f in fields(ModelView)}
        empty |= dict.fromkeys(("verdicts", "incidents", "runs", "events", "reference_notes"), ())
        empty |= {key: {} for key in ("counters", "runs_by_state")}
        known = {"name": model.name, "task": model.task, "is_paused": False, "ahead_s": 0.0, "blind": frozenset(), "outbox_n": 0}
        return ModelView(**{**empty, **known, "damaged": (because, *health.troubles.get(model.name, ()))})


def _model(tx: Connection, model: ModelSettings, now: float, health: Health) -> ModelView:
    name = model.name
    champion = champions.champion(tx, name)
    control = controls.control(tx, name)
    waiting = outbox.pending(tx, model=name)
    seen, past = incidents.incidents(tx, name, limit=_NEWEST_INCIDENTS), runs.runs(tx, name, limit=_NEWEST_RUNS)
    done = events(tx, name, limit=_NEWEST_EVENTS)
    if all(e["kind"] != "decision" for e in done):  # a hundred alarms came after it: it is still what the service does
        done += events(tx, name, "decision", limit=1)
    latest, unread = verdicts.read(tx, name, epoch=champion.epoch) if champion else ([], [])
    unread += sentences("incident", seen) + sentences("run", past) + sentences("event", done)
    return ModelView(
        name=name,
        task=model.task,
        autonomy=str(model.retrain.autonomy) if model.retrain else None,
        champion=_champion(champion) if champion else None,
        epoch=_epoch(tx, model, champion, now) if champion else None,
        is_paused=control is not None and control.paused,
        paused_because=f"{control.by}: {control.because}" if control and control.paused else None,
        window=_window(tx, model, champion.version, now) if champion else None,
        verdicts=_verdicts(latest),
        incidents=_incidents(tx, name, seen),
        precision=_precision(tx, name),
        runs=tuple(run_view(r) for r in past),
        events=tuple(EventView(id=e["id"], at=e["at"], kind=e["kind"], data=e["data"]) for e in done),
        served_ratio=_served(tx, model, champion, now) if champion else None,
        newest_record_at=panes.newest_record_at(tx, name, until=now),
        ahead_s=_ahead(tx, model, champion, now),
        blind=health.blind.get(name, frozenset()),
        reference_notes=health.reference_notes.get(name, ()),
        counters=_counters(tx, name),
        runs_by_state=runs.n_by_state(tx, name),
        outbox_n=len(waiting),
        outbox_oldest_at=waiting[0].created_at if waiting else None,
        damaged=(*unread, *health.troubles.get(name, ())),
    )


def _champion(held: champions.Champion) -> ChampionView:
    return ChampionView(version=held.version, previous=held.previous, since=held.since, revision=held.revision)


def _epoch(tx: Connection, model: ModelSettings, champion: champions.Champion, now: float) -> EpochView | None:
    held = epochs.epoch(tx, model.name, champion.epoch)
    if held is None:
        return None
    is_learning = held.reference_path is None
    return EpochView(
        epoch=held.epoch,
        version=held.version,
        started_at=held.started_at,
        is_learning=is_learning,
        learned_ratio=_learned(tx, model, held, now) if is_learning else 1.0,
        reference_digest=held.reference_digest,
        because=held.because,
        absorbed_from=held.absorbed_from,
    )


def _learned(tx: Connection, model: ModelSettings, held: epochs.Epoch, now: float) -> float:
    """The slower of days and records, 0-1."""
    pane = tables.pane.c
    of_epoch = (pane.model == model.name, pane.version == held.version, pane.start >= held.started_at)
    n = int(tx.execute(select(func.sum(pane.n)).where(*of_epoch)).scalar() or 0)
    days = max(0.0, now - held.started_at) / (model.reference.learn_days * _DAY_S)
    return min(1.0, days, n / model.reference.learn_n)


def _window(tx: Connection, model: ModelSettings, version: str, now: float) -> WindowView:
    pane = tables.pane.c
    start = model.monitors.window_from(now)
    query = select(func.sum(pane.n_seen), func.sum(pane.n), func.sum(pane.n_pairs), func.min(pane.start), func.max(pane.end))
    row = tx.execute(query.where(pane.model == model.name, pane.version == version, pane.start >= start, pane.start < now)).one()
    n_seen, n, n_pairs = (int(x or 0) for x in row[:3])
    n_labelled = panes.labelled_n(tx, model.name, version, start, now)
    return WindowView(version=version, start=row[3] or start, end=row[4] or now, n_seen=n_seen, n=n, n_pairs=n_pairs, n_labelled=n_labelled)


def _ahead(tx: Connection, model: ModelSettings, champion: champions.Champion | None, now: float) -> float:
    """By how many seconds what the ledger has of the model lies after the clock: the newest pane's end, or the champion's beginning."""
    newest = newest_pane(tx, model)
    ends_at = [(newest + 1) * model.monitors.pane_s] if newest is not None else []
    return max(0.0, *(at - now for at in [*ends_at, *([champion.since] if champion is not None else [])]), 0.0)


def _served(tx: Connection, model: ModelSettings, champion: champions.Champion, now: float) -> float | None:
    """Of the records of the newest panes since the champion became it: how many it answered."""
    pane, since = tables.pane.c, max(champion.since, now - _NEWEST_PANES * model.monitors.pane_s - model.monitors.watermark_s)
    query = select(pane.version == champion.version, func.sum(pane.n_seen)).where(pane.model == model.name, pane.start >= since)
    n = {bool(is_its): int(n or 0) for is_its, n in tx.execute(query.group_by(pane.version == champion.version))}
    return n.get(True, 0) / sum(n.values()) if sum(n.values()) else None


def _verdicts(latest: Iterable[verdicts.StoredVerdict]) -> tuple[VerdictView, ...]:
    """The latest of the present epoch: another version's verdicts say nothing about this one."""
    return tuple(
        VerdictView(
            detector=v.detector,
            subject=v.subject,
            outcome=str(v.outcome),
            evidence=evidence_view(v.evidence),
            value=v.value,
            low=v.low,
            high=v.high,
            n=v.n,
            because=v.because,
            limit=v.limit,
            at=stored.at,
            epoch=stored.epoch,
        )
        for stored in latest
        for v in (stored.verdict,)
    )


def _incidents(tx: Connection, model: str, seen: Iterable[incidents.StoredIncident]) -> tuple[IncidentView, ...]:
    absorbed = incidents.absorbed(tx, model)
    return tuple(incident_view(i, absorbed) for i in seen)


def incident_view(kept: incidents.StoredIncident, absorbed: Mapping[str, float]) -> IncidentView:
    """One incident, as it is shown; `absorbed`: those of its model (`incidents.absorbed`)."""
    own = {"is_harmful", "report", "absorbed_at"}
    same = {name: getattr(kept, name) for name in IncidentView.__dataclass_fields__ if name not in own}
    report = f"/reports/{kept.id}" if kept.report else None
    _check_instants(kept)
    return IncidentView(**same, is_harmful=kept.harmful, report=report, absorbed_at=absorbed.get(kept.id))


def _precision(tx: Connection, model: str) -> PrecisionView | None:
    n = judgements.tally(tx, model)
    rate = binomial(n["real"], n["real"] + n["false"], _ALPHA)
    return PrecisionView(**n, value=rate.value, low=rate.low, high=rate.high) if rate.n else None


def run_view(run: runs.Run) -> RunView:
    """One run, as it is shown."""
    State(run.state)  # pages and figures go by it: a word that is none fails here, once
    _check_instants(run)
    shown = {name: getattr(run, name) for name in RunView.__dataclass_fields__}
    return RunView(**{**shown, "detail": {k: v for k, v in run.detail.items() if k != "salt"}})  # the split's salt is a secret


def _check_instants(row: incidents.StoredIncident | runs.Run) -> None:
    """SQLite takes a word in place of a time: `TypeError` names it."""
    for name in row.__dataclass_fields__:
        if name.endswith("_at") and not isinstance(at := getattr(row, name), int | float | None):
            msg = f"{name} of {row.id} is {at!r}, no time"
            raise TypeError(msg)


def _counters(tx: Connection, model: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (name, reason), n in counters.counters(tx, model).items():
        found.setdefault(name, {})[reason] = n
    return found
