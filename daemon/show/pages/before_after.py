"""How the model did before an incident, in it, and after what it led to: the informing detectors over the panes of each stretch.

A stretch is at most one window long, so that a page costs the same whatever the incident's length. Fairness is left out: metrics by columns
and intersections would be a table of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.decide.monitors.performance import told_apart
from daemon.store import epochs
from daemon.store.panes import window
from detectors.registry import build
from detectors.types import Pairs, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.epochs import Epoch
    from daemon.store.incidents import StoredIncident
    from daemon.store.runs import Run
    from detectors.types import Detector, Verdict


_NONE = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="")
"""A rate needs no reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time and how the model did in it."""

    name: str
    version: str
    start: float
    end: float
    n_seen: int
    figures: tuple[Verdict, ...]


def spans(tx: Connection, model: ModelSettings, kept: StoredIncident, promoted: Run | None, now: float) -> Iterator[Span]:
    """Before, as it opened, at its end, and after the promotion that it led to, where there was one."""
    epoch, length = epochs.epoch(tx, model.name, kept.epoch), model.monitors.window_s
    if epoch is None:
        return
    yield _before(tx, model, epoch, kept.opened_at)
    end = min(kept.closed_at or now, promoted.detail["promoted_at"] if promoted is not None else now)
    yield _span(tx, model, "as it opened", version=epoch.version, start=kept.opened_at, end=min(end, kept.opened_at + length))
    if end > kept.opened_at + 2 * length:
        yield _span(tx, model, "at its end" if end < now else "now", version=epoch.version, start=end - length, end=end)
    if promoted is not None and promoted.version is not None:
        start = max(promoted.detail["promoted_at"], now - length)
        yield _span(tx, model, "after the promotion", version=promoted.version, start=start, end=now)


def _before(tx: Connection, model: ModelSettings, epoch: Epoch, opened_at: float) -> Span:
    """Evidence grows before it alarms: the window that ends one window earlier, where there is traffic in it."""
    length = model.monitors.window_s
    for end in (opened_at - length, opened_at):
        start = max(epoch.started_at, end - length)
        found = _span(tx, model, "before", version=epoch.version, start=min(start, end), end=end)
        if found.n_seen:
            break
    return found


def _span(tx: Connection, model: ModelSettings, name: str, *, version: str, start: float, end: float) -> Span:
    found = window(tx, model.name, version, start, end)
    figures = tuple(d.step(d.start(_NONE), found)[1] for d in _rates(model))
    return Span(name=name, version=version, start=start, end=end, n_seen=found.n_seen, figures=figures)


def _rates(model: ModelSettings) -> list[Detector]:
    """The metric of the settings, of each label."""
    if model.monitors.performance is None:
        return []
    metric = model.metric()
    if not model.task.endswith("classification"):
        return [build(metric)]
    match metric:
        case "f1" | "precision" | "recall":
            return [*(build(metric, label=label) for label in model.labels), *([build("accuracy")] if model.labels else [])]
        case "roc_auc":
            return [build(metric, label=label, labels=tuple(model.labels)) for label in told_apart(model)]
        case "log_loss" | "brier":
            return [build(metric, labels=tuple(model.labels))] if model.labels else []
        case _:
            return [build(metric)] if model.labels else []
