"""From settings to detectors: what is watched, at which alpha. Pure; `retuned check` prints it.

A user says `mean_days_between_false_alarms` of a whole group of monitors. One pane is one step of an e-detector, so the group has
N = days * 86400 / pane_s panes between false alarms; each of its k e-detectors alarms at k * N. Their mean is an e-detector with run length
>= N (Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532: e-detectors average), and one of them at k * N puts the mean at N: the
group keeps its promise under any dependence between the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.registry import build
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.settings import ModelSettings, PerformanceSettings
    from detectors.types import Detector

DELTA = 0.01
"""Chance that a bound made from the finite reference fails; then the run length promise is void for that epoch. Stated with each figure."""

_SEQUENTIAL = {ColumnKind.NUMERIC: "conformal_numeric", ColumnKind.CATEGORY: "conformal_category", ColumnKind.TEXT: "text_witness"}
_ONE_LOOK = {ColumnKind.NUMERIC: ("ks", "psi"), ColumnKind.CATEGORY: ("chi_square", "jensen_shannon"), ColumnKind.TEXT: ()}
_FAIRNESS = {"equalized_odds_difference": "equalized_odds", "demographic_parity_difference": "demographic_parity"}
_FLOORS = {"f1": "f1_floor", "precision": "precision_floor", "recall": "recall_floor", "accuracy": "accuracy_floor"}


def alpha_per_pane(*, days: float, pane_s: float, n: int) -> float:
    """What each of n e-detectors gets, so that the group's mean run length is at least `days`."""
    return min(0.5, pane_s / (days * 86400.0 * max(1, n)))


def monitors(model: ModelSettings, *, has_bound: bool, seen: Iterable[str] | None = None) -> list[Detector]:
    """Every detector of a model. `has_bound`: labelled rows for the source bound exist; `seen`: the reference's subjects, None = all."""
    known = set(seen) if seen is not None else set(model.subjects())
    return [*_drift(model, known), *_performance(model, has_bound=has_bound), *_fairness(model)]


def _drift(model: ModelSettings, known: set[str]) -> list[Detector]:
    wanted = model.monitors.drift
    if wanted is None:
        return []
    kinds = {s: k for s, k in model.subjects().items() if s in known}
    if wanted.columns != "all":
        kinds = {s: k for s, k in kinds.items() if s.split(".", 1)[1] in wanted.columns or s in wanted.columns}
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=len(kinds))
    informing = [build(name, column=subject, alpha=0.01) for subject, kind in kinds.items() for name in _ONE_LOOK[kind]]
    return informing + [build(_SEQUENTIAL[kind], column=subject, alpha=alpha, delta=DELTA) for subject, kind in kinds.items()]


def _performance(model: ModelSettings, *, has_bound: bool) -> list[Detector]:
    wanted = model.monitors.performance
    if wanted is None or not model.task.endswith("classification") or not model.labels:
        return []
    found = [build("accuracy", minimum=wanted.minimum)]
    found += [build(name, label=label, minimum=wanted.minimum) for name in ("precision", "recall", "f1") for label in model.labels]
    floors = _floor_arguments(model, wanted) if wanted.minimum is not None or (has_bound and wanted.max_drop is not None) else []
    n = len(floors) + int(has_bound)
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=n)
    found += [build(_FLOORS[wanted.metric], alpha=alpha, delta=DELTA, **arguments) for arguments in floors]
    if has_bound:
        found.append(build("risk_change", alpha=alpha, delta=DELTA, tolerance=wanted.tolerance))
        found.append(build("risk", alpha=0.01, delta=DELTA / 2, tolerance=wanted.tolerance))
    return found


def _floor_arguments(model: ModelSettings, wanted: PerformanceSettings) -> list[dict[str, object]]:
    limit: dict[str, object] = {"minimum": wanted.minimum, "max_drop": None if wanted.minimum is not None else wanted.max_drop}
    return [limit] if wanted.metric == "accuracy" else [{**limit, "label": label} for label in model.labels]


def _fairness(model: ModelSettings) -> list[Detector]:
    wanted = model.monitors.fairness
    if wanted is None or not model.labels:
        return []
    common = {"maximum": wanted.maximum, "min_n": wanted.min_n, "positive": model.labels[-1]}
    alpha = wanted.alpha / len(wanted.by)
    informing = [build(_FAIRNESS[wanted.metric], by=by, **common) for by in wanted.by]
    return informing + [build("fairness_gap", metric=wanted.metric, by=by, alpha=alpha, **common) for by in wanted.by]
