"""What explains an incident: detectors that wake nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.decide.labelled import loss_of, named
from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from detectors.registry import build
from detectors.sketches.judged import MOST_CLASSES

_LEAST_TOLERANCE = 0.01
"""Of harm without labels: an estimate is not known to be better than that."""

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.types import Detector


def causes(model: ModelSettings, *, has_bound: bool, has_scores: bool) -> list[Detector]:
    """Of labelled reference rows (`has_bound`). Each errs as often as all that alarms together, and takes nothing of that."""
    wanted, labels, is_classes = model.monitors.performance, tuple(model.labels), model.task.endswith("classification")
    if wanted is None or not has_bound or (is_classes and not 1 < len(labels) <= MOST_CLASSES):
        return []
    alpha = alpha_per_pane(days=model.monitors.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=1)
    given_inputs: dict[str, Any] = {"columns": model.carried(), "alpha": alpha, "delta": DELTA}
    by_hours: dict[str, Any] = {"rhythm": model.reference.rhythm}
    if not is_classes:
        loss = loss_of(model.task)
        return [build(named(name, loss), **given_inputs, **by_hours) for name in ("conformal_inputs", "conformal_given_inputs")]
    given_inputs["labels"] = labels
    found = [
        build("conformal_inputs", **given_inputs, **by_hours),
        build("conformal_given_inputs", **given_inputs, **by_hours),
        build("conformal_given_classes", labels=labels, alpha=alpha, **by_hours),
    ]
    if wanted.estimate and has_scores:
        found.append(build("likely_errors", **given_inputs, tolerance=min(0.5, max(wanted.tolerance, _LEAST_TOLERANCE))))
    return found
