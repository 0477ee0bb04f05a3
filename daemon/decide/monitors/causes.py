"""What explains an incident: detectors that wake nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from detectors.registry import build
from detectors.sketches.judged import MOST_CLASSES

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.types import Detector


def causes(model: ModelSettings, *, has_bound: bool) -> list[Detector]:
    """Of classes with labelled reference rows (`has_bound`). Each errs as often as all that alarms together, and takes nothing of that."""
    labels = tuple(model.labels)
    is_told = model.monitors.performance is not None and model.task.endswith("classification")
    if not (is_told and has_bound and 1 < len(labels) <= MOST_CLASSES):
        return []
    alpha = alpha_per_pane(days=model.monitors.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=1)
    given_inputs = {"labels": labels, "columns": tuple(model.asked()), "alpha": alpha, "delta": DELTA}
    return [
        build("conformal_inputs", **given_inputs),
        build("conformal_given_inputs", **given_inputs),
        build("conformal_given_classes", labels=labels, alpha=alpha),
    ]
