"""Performance before labels are there, and with few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detectors.registry import build
from detectors.sketches.judged import MOST_CLASSES

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.types import Detector


def estimates(model: ModelSettings, *, has_bound: bool, has_scores: bool) -> list[Detector]:
    """Of classes with scores, whose labelled reference rows (`has_bound`) say what a score means; all of them inform."""
    wanted, labels = model.monitors.performance, tuple(model.labels)
    if wanted is None or not wanted.estimate or not (has_bound and has_scores and 1 < len(labels) <= MOST_CLASSES):
        return []
    found = [build("cbpe", labels=labels, **_held(model, "accuracy")), build("ppi", labels=labels, minimum=_minimum(model, "accuracy"))]
    for label in labels:
        found.append(build("cbpe", label=label, labels=labels, **_held(model, "f1")))
        found.append(build("label_shift", label=label, labels=labels))
    ranked = labels[-1:] if len(labels) == 2 else labels  # noqa: PLR2004 (of two, one says all)
    return found + [build("cbpe", label=label, labels=labels, **_held(model, "roc_auc")) for label in ranked]


def _held(model: ModelSettings, metric: str) -> dict[str, Any]:
    """The metric, and what it is held to: `minimum` is of the one that alarms."""
    wanted = model.monitors.performance
    return {"metric": metric, "minimum": _minimum(model, metric), "max_drop": (wanted and wanted.max_drop) or 0.05}


def _minimum(model: ModelSettings, metric: str) -> float | None:
    wanted = model.monitors.performance
    return wanted.minimum if wanted is not None and model.metric() == metric else None
