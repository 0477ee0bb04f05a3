"""Performance and risk by labels that come late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.decide.labelled import loss_of, named
from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from daemon.settings_monitors import LOSSES
from detectors.registry import build, detector_class

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from daemon.settings_monitors import PerformanceSettings
    from detectors.types import Detector

    Built = tuple[str, dict[str, Any]]


def performance(model: ModelSettings, *, has_bound: bool, has_scores: bool, has_judge: bool = False) -> list[Detector]:
    """`has_bound`: labelled rows for the source bound exist; `has_scores`: the reference's answers have scores; `has_judge`: a judge's."""
    wanted = model.monitors.performance
    is_classes = model.task.endswith("classification")
    if wanted is None or (is_classes and not model.labels):
        return []
    informing = _classes(model, wanted, has_scores=has_scores) if is_classes else _figures(model, wanted)
    is_predicted = has_bound and (has_judge or (wanted.predicted is True and has_scores and len(model.labels) > 1))
    alarming = by_labels(model, has_bound=has_bound, is_predicted=is_predicted)
    if is_classes and has_bound and has_scores and wanted.calibration is not None and len(model.labels) > 1:
        own = {"labels": tuple(model.labels), "tolerance": wanted.calibration, "delta": DELTA, "rhythm": model.reference.rhythm}
        alarming.append(("calibration_change", own))
    if has_bound and model.task == "tabular-regression":
        alarming.append(("conformal_residual", {"tolerance": wanted.tolerance, "delta": DELTA, "rhythm": model.reference.rhythm}))
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=len(alarming))
    weight = most_weight(model)
    found = informing + [build(name, alpha=alpha, most_weight=weight, **settings) for name, settings in alarming]
    if has_bound:
        ever: dict[str, Any] = {"tolerance": wanted.tolerance, "rhythm": model.reference.rhythm}
        found.append(build(_risk(model), alpha=DELTA, most_weight=weight, delta=DELTA / 2, **ever))
    return found


def by_labels(model: ModelSettings, *, has_bound: bool, is_predicted: bool = False) -> list[Built]:
    """(detector, settings) of the e-detectors of loss and metric: of all labelled records, or of a segment's.

    `is_predicted`: scores of all records, the model's or a judge's, say what their labels probably are. Without bound rows a rise of the
    loss is watched where labels are expected: elsewhere it would only take of the others' rate.
    """
    wanted = model.monitors.performance
    if wanted is None or (model.task.endswith("classification") and not model.labels):
        return []
    found = _alarming(model, wanted, is_predicted=is_predicted) if _limit(model, wanted, has_bound=has_bound) else []
    found += [(f"{_risk(model)}_change", {"tolerance": wanted.tolerance})] if has_bound else []
    found = [(name, {"delta": DELTA, **settings}) for name, settings in found]
    rises = [(f"{_risk(model)}_rise", {"tolerance": wanted.tolerance})] if has_bound or model.expects_labels() else []
    by_hours = {"rhythm": model.reference.rhythm}
    return [(name, {**settings, **(by_hours if hasattr(detector_class(name), "rhythm") else {})}) for name, settings in found + rises]


def _risk(model: ModelSettings) -> str:
    """By the loss of the task."""
    return named("risk", loss_of(model.task))


def most_weight(model: ModelSettings) -> float:
    """The heaviest that a labelled pair can be: 1 / the least chance that its record was sampled and its label planned."""
    wanted = model.monitors.performance
    return 1.0 / (model.sample_ratio * ((wanted.least_label_probability if wanted is not None else None) or 1.0))


def told_apart(model: ModelSettings) -> list[str]:
    """The classes whose ranking is judged: of two, the second says all."""
    return model.labels[-1:] if len(model.labels) == 2 else model.labels  # noqa: PLR2004 (of two)


def _classes(model: ModelSettings, wanted: PerformanceSettings, *, has_scores: bool) -> list[Detector]:
    """What informs of classes; only the metric that alarms is held to the limits."""
    labels = tuple(model.labels)
    found = [build("accuracy", minimum=wanted.minimum)]
    found += [build(name, label=label, minimum=wanted.minimum) for name in ("precision", "recall", "f1") for label in labels]
    found += [build("macro", metric=metric, labels=labels) for metric in ("precision", "recall", "f1")]
    if has_scores and len(labels) > 1:
        found += [build("roc_auc", label=label, labels=labels, **_held(model, wanted, "roc_auc")) for label in told_apart(model)]
        found += [build(name, labels=labels, **_held(model, wanted, name)) for name in ("log_loss", "brier")]
        found.append(build("calibration_error", labels=labels, tolerance=wanted.calibration))
    return found


def _figures(model: ModelSettings, wanted: PerformanceSettings) -> list[Detector]:
    """What informs of numbers or judged texts."""
    names = ("mae", "rmse", "r2") if model.task == "tabular-regression" else ("score",)
    return [build(name, **_held(model, wanted, name)) for name in names]


def _held(model: ModelSettings, wanted: PerformanceSettings, name: str) -> dict[str, Any]:
    """The limits of the figure that alarms; none for others."""
    if name != model.metric():
        return {}
    if name in LOSSES:
        return {"maximum": wanted.maximum, "max_rise": wanted.max_rise}
    return {"minimum": wanted.minimum, "max_drop": wanted.max_drop}


def _limit(model: ModelSettings, wanted: PerformanceSettings, *, has_bound: bool) -> dict[str, Any]:
    """What the metric is held to; empty = nothing can be."""
    names = ("maximum", "max_rise") if model.metric() in LOSSES else ("minimum", "max_drop")
    fixed, moved = (getattr(wanted, name) for name in names)
    if fixed is not None:
        return {names[0]: fixed}
    return {names[1]: moved} if has_bound and moved is not None else {}


def _alarming(model: ModelSettings, wanted: PerformanceSettings, *, is_predicted: bool) -> list[Built]:
    """(detector, settings) of what alarms by the metric."""
    limit, metric, labels = _limit(model, wanted, has_bound=True), model.metric(), tuple(model.labels)
    match metric:
        case "mae" | "rmse":
            return [("value_ceiling", {"metric": metric, **limit})]
        case "log_loss" | "brier":
            return [("probability_ceiling", {"metric": metric, "labels": labels, **limit})]
        case "roc_auc":
            return [("auc_floor", {"label": label, "labels": labels, **limit}) for label in told_apart(model)]
        case "score" | "accuracy" if is_predicted:
            by_scores, by_judge = ("ppi_floor", {"labels": labels, **limit}), ("ppi_score_floor", {"judge": model.judge(), **limit})
            return [by_judge if metric == "score" else by_scores]
        case "score" | "accuracy":
            return [(f"{metric}_floor", limit)]
        case _:
            return [(f"{metric}_floor", {"label": label, **limit}) for label in labels]
