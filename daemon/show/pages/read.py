"""What a page needs beyond the snapshot, read from the ledger and a run's folder when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.show.pages.before_after import spans
from daemon.show.snapshot import incident_view, run_view
from daemon.show.timeline import states_of, timeline
from daemon.show.views import RunView
from daemon.store import champions, epochs, incidents, runs
from retrain.plan import read_plan
from retrain.types import Permanent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.show.pages.before_after import Span
    from daemon.show.views import EventView, IncidentView
    from daemon.store.epochs import Epoch
    from retrain.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentPage:
    """One incident with all that belongs to it."""

    model: str
    incident: IncidentView
    events: tuple[EventView, ...]
    runs: tuple[RunView, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """One run with its plan."""

    model: str
    run: RunView
    plan: Plan | None
    """None = not written yet, or gone."""
    entered: tuple[EventView, ...]
    """Each state that it entered, oldest first."""


def versions(tx: Connection, model: str) -> tuple[list[Epoch], dict[str, str]]:
    """Every epoch, newest first, and the versions that may never be champion again, with the reason."""
    return epochs.epochs(tx, model, limit=20), champions.barred(tx, model)


def incident_page(tx: Connection, settings: Mapping[str, ModelSettings], incident_id: str, now: float) -> IncidentPage | None:
    """None when there is no such incident."""
    kept = incidents.incident(tx, incident_id)
    if kept is None:
        return None
    led_to = tuple(r for r in runs.runs(tx, kept.model) if r.trigger.get("incident") == kept.id)
    promoted = next((r for r in led_to if r.detail.get("promoted_at")), None)
    model = settings.get(kept.model)
    return IncidentPage(
        model=kept.model,
        incident=incident_view(kept, incidents.absorbed(tx, kept.model)),
        events=timeline(tx, kept),
        runs=tuple(run_view(r) for r in led_to),
        spans=tuple(spans(tx, model, kept, promoted, now)) if model is not None else (),
    )


def run_page(tx: Connection, data_dir: Path, run_id: str) -> RunPage | None:
    """None when there is no such run."""
    kept = runs.run(tx, run_id)
    if kept is None:
        return None
    try:
        plan = read_plan(data_dir / kept.folder / "plan.json")
    except Permanent:
        plan = None
    return RunPage(model=kept.model, run=run_view(kept), plan=plan, entered=states_of(tx, kept))
