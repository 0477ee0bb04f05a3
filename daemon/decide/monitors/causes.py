"""What explains an incident: detectors that wake nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from detectors.registry import build
from detectors.sketches.judged import MOST_CLASSES

_LEAST_TOLERANCE = 0.01
"""Of harm without labels: an estimate is not known to be better than that."""

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.types import Detector


def causes(model: ModelSettings, *, has_bound: bool, has_scores: bool) -> list[Detector]:
    """Of classes with labelled reference rows (`has_bound`). Each errs as often as all that alarms together, and takes nothing of that."""
    wanted, labels = model.monitors.performance, tuple(model.labels)
    if wanted is None or not (model.task.endswith("classification") and has_bound and 1 < len(labels) <= MOST_CLASSES):
        return []
    alpha = alpha_per_pane(days=model.monitors.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=1)
    given_inputs = {"labels": labels, "columns": tuple(model.asked()), "alpha": alpha, "delta": DELTA}
    found = [
        build("conformal_inputs", **given_inputs),
        build("conformal_given_inputs", **given_inputs),
        build("conformal_given_classes", labels=labels, alpha=alpha),
    ]
    if wanted.estimate and has_scores:
        found.append(build("likely_errors", **given_inputs, tolerance=min(0.5, max(wanted.tolerance, _LEAST_TOLERANCE))))
    return found
