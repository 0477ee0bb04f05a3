"""What of a model must stay, as the ledger says it now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daemon.store import champions, epochs, incidents, outbox, runs
from daemon.store.retention import Needs, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.incidents import StoredIncident
    from daemon.store.runs import Run

_EVER = float("inf")


def needs(tx: Connection, model: ModelSettings, data_dir: Path, now: float) -> Needs:
    """Everything that somebody could still ask for. Belongs into the transaction that removes something."""
    name, monitors = model.name, model.monitors
    run = runs.active(tx, name)
    looked_at = list(_incidents(tx, name, run))
    spans = [span for incident in looked_at for span in _around(incident, model)]
    since = [now - max(monitors.label_horizon_s, monitors.lateness_s), *_of_run(run), *_of_learning(tx, name)]
    return Needs(
        records=((min(since), _EVER), *spans),
        sketches=((monitors.window_from(now), _EVER), *(_window(incident, model) for incident in looked_at)),
        names=frozenset(
            [
                *_of_versions(tx, name, run),
                *(path for incident in looked_at for path in (incident.report, f"reports/{name}/jobs/{incident.id}") if path),
                *_of_settings(model, data_dir),
            ]
        ),
    )


def _incidents(tx: Connection, name: str, run: Run | None) -> Iterator[StoredIncident]:
    """The open one, that of the active run, and those whose report is not written yet."""
    opened = incidents.open_of(tx, name)
    ids = {str(message.payload.get("incident")) for message in outbox.pending(tx, model=name, kind="report")}
    if run is not None and run.trigger.get("incident"):
        ids.add(run.trigger["incident"])
    if opened is not None:
        ids.discard(opened.id)
        yield opened
    for known in sorted(ids):
        if (found := incidents.incident(tx, known)) is not None:
            yield found


def _window(incident: StoredIncident, model: ModelSettings) -> Span:
    """What is compared when somebody looks at an incident: two windows before it and one after it."""
    window_s, pane_s = model.monitors.window_s, model.monitors.pane_s
    return incident.opened_at - 2 * window_s - pane_s, incident.opened_at + window_s + pane_s


def _around(incident: StoredIncident, model: ModelSettings) -> Iterator[Span]:
    """An open incident may start a run, which trains on all that was recorded since it opened."""
    yield _window(incident, model)
    if incident.closed_at is None and model.retrain is not None:
        yield incident.opened_at - model.monitors.pane_s, _EVER


def _of_run(run: Run | None) -> Iterator[float]:
    """A run collects from `since`, and watches from its promotion."""
    if run is not None:
        yield run.created_at
        yield from (float(run.detail[key]) for key in ("since", "promoted_at") if key in run.detail)


def _of_learning(tx: Connection, name: str) -> Iterator[float]:
    """An epoch without a reference learns one from its beginning."""
    held = champions.champion(tx, name)
    epoch = epochs.epoch(tx, name, held.epoch) if held is not None else None
    if epoch is not None and epoch.reference_path is None:
        yield epoch.started_at


def _of_versions(tx: Connection, name: str, run: Run | None) -> Iterator[str]:
    """Adapters, references and run folders of the champion, of where a rollback goes, of the challenger and of the active run."""
    held = champions.champion(tx, name)
    versions = {held.version, held.previous} if held is not None else set()
    if run is not None:
        versions |= {run.champion_version, run.version}
        yield from (run.folder, f"{run.folder}/checkpoints", f"{run.folder}/jobs", f"references/{name}/{run.id}")
    for version in sorted(v for v in versions if v is not None):
        yield f"adapters/{name}-{version}"
        yield from runs.folders_of(tx, name, version)
        epoch = epochs.last_epoch(tx, name, version)
        for kept in ([epoch] if epoch is not None else []) + epochs.undoable(tx, name, epoch):
            if kept.reference_path is not None:
                yield kept.reference_path


def _of_settings(model: ModelSettings, data_dir: Path) -> Iterator[str]:
    """Files that the settings name, and the folders around them: they may lie in the data folder."""
    named = [model.reference.path, model.reference.bound]
    if model.retrain is not None:
        named += [model.retrain.replay, model.retrain.old_domain, Path(model.retrain.base_model)]
    home = data_dir.resolve()
    for path in named:
        if path is not None and path.resolve().is_relative_to(home):
            inside = path.resolve().relative_to(home)
            yield from (str(part) for part in (inside, *inside.parents))
