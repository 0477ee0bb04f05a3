"""Performance before labels are there, and with few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detectors.registry import build
from detectors.sketches.judged import MOST_CLASSES

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.performance.confidence import Metric
    from detectors.types import Detector


def estimates(model: ModelSettings, *, has_bound: bool, has_scores: bool) -> list[Detector]:
    """Of classes with scores, whose labelled reference rows (`has_bound`) say what a score means; all of them inform."""
    wanted, labels = model.monitors.performance, tuple(model.labels)
    if wanted is None or not wanted.estimate or not (has_bound and has_scores and 1 < len(labels) <= MOST_CLASSES):
        return []
    ranked = labels[-1:] if len(labels) == 2 else labels  # noqa: PLR2004 (of two, one says all)
    figures: list[tuple[Metric, str | None]] = [
        ("accuracy", None),
        *(("f1", label) for label in labels),
        *(("roc_auc", label) for label in ranked),
    ]
    found = [build("cbpe", labels=labels, label=label, **_held(model, metric)) for metric, label in figures]
    if columns := tuple(model.asked()):  # without any, it says what `cbpe` says
        found += [build("pape", labels=labels, label=label, columns=columns, **_held(model, metric)) for metric, label in figures]
        found.append(build("cbpe_inputs", labels=labels, columns=columns, **_held(model, "accuracy")))
    found += [build(name, labels=labels, label=label) for name in ("label_shift", "label_shift_scores") for label in labels]
    found.append(build("cbpe_corrected", labels=labels, **_held(model, "accuracy")))
    return found + few_labels(model)


def few_labels(model: ModelSettings) -> list[Detector]:
    """By few labels and all scores: the figures that labels alone have, of classes."""
    labels = tuple(model.labels)
    of_class = [
        build("ppi_class", metric=metric, label=label, labels=labels, minimum=_minimum(model, metric))
        for metric in ("precision", "recall", "f1")
        for label in labels
    ]
    return [build("ppi", labels=labels, minimum=_minimum(model, "accuracy")), *of_class]


def _held(model: ModelSettings, metric: str) -> dict[str, Any]:
    """The metric, and what it is held to: `minimum` is of the one that alarms."""
    wanted = model.monitors.performance
    return {"metric": metric, "minimum": _minimum(model, metric), "max_drop": (wanted and wanted.max_drop) or 0.05}


def _minimum(model: ModelSettings, metric: str) -> float | None:
    wanted = model.monitors.performance
    return wanted.minimum if wanted is not None and model.metric() == metric else None
