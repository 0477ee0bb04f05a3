"""Performance before labels are there, and with few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    limits = {"minimum": wanted.minimum, "max_drop": wanted.max_drop or 0.05}
    found = [build("cbpe", metric="accuracy", labels=labels, **limits), build("ppi", labels=labels, minimum=wanted.minimum)]
    for label in labels:
        found.append(build("cbpe", metric="f1", label=label, labels=labels, **limits))
        found.append(build("label_shift", label=label, labels=labels))
    ranked = labels[-1:] if len(labels) == 2 else labels  # noqa: PLR2004 (of two, one says all)
    return found + [build("cbpe", metric="roc_auc", label=label, labels=labels, **limits) for label in ranked]
