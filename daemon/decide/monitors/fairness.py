"""Fairness between the groups of protected columns and of their intersections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.decide.monitors.performance import most_weight
from detectors.fairness.intersection import AND, joint_groups
from detectors.fairness.metric import GAPS
from detectors.group_means import Mean
from detectors.registry import build
from detectors.sequential.gap import MOST_GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.settings_monitors import FairnessMetric
    from detectors.types import Detector

_NAMED = {"equalized_odds_difference": "equalized_odds", "demographic_parity_difference": "demographic_parity"}
_RATIO = "demographic_parity_ratio"
_SCORES = {"tabular-regression": Mean.VALUE, "text-generation": Mean.QUALITY}


def fairness(model: ModelSettings) -> list[Detector]:
    """Each metric by each column and intersection: one that informs and one that alarms."""
    wanted = model.monitors.fairness
    if wanted is None or (model.task.endswith("classification") and not model.labels):
        return []
    asked = [(metric, by) for by in [*dict.fromkeys(wanted.by), *wanted.crossed()] for metric in wanted.watched()]
    return [_informing(model, *one) for one in asked] + [_alarming(model, *one) for one in asked]


def beyond_judged(model: ModelSettings, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """A sentence on each protected column and intersection with more groups in the reference's `columns` than alarms judge."""
    wanted = model.monitors.fairness
    if wanted is None:
        return []
    by = {column: columns[f"segment.{column}"] for column in wanted.by if f"segment.{column}" in columns}
    known = joint_groups(by, [pair for pair in wanted.crossed() if by.keys() >= {*pair.split(AND)}])
    sizes = {column: len({*groups.tolist()} - {None}) for column, groups in known.items()}
    why = f"alarms judge the first {MOST_GROUPS} that come with labels, figures the {MOST_GROUPS} largest; post rare groups under one name"
    return [f"Fairness by {column}: {n} groups in the reference; {why}." for column, n in sizes.items() if n > MOST_GROUPS]


def _informing(model: ModelSettings, metric: FairnessMetric, by: str) -> Detector:
    """One look, with an interval."""
    settings = _settings(model, metric, by)
    if metric in GAPS and metric not in _NAMED:
        return build("rate_gap", metric=metric, **settings)
    return build({**_NAMED, _RATIO: "disparate_impact", "calibration_difference": "calibration_gap"}.get(metric, "score_gap"), **settings)


def _alarming(model: ModelSettings, metric: FairnessMetric, by: str) -> Detector:
    """An e-process."""
    settings = {**_settings(model, metric, by), "most_weight": most_weight(model)}
    if metric in GAPS:
        return build("fairness_gap", metric=metric, **settings)
    return build(
        {_RATIO: "fairness_ratio", "calibration_difference": "fairness_calibration_gap"}.get(metric, "fairness_score_gap"), **settings
    )


def _settings(model: ModelSettings, metric: FairnessMetric, by: str) -> dict[str, Any]:
    """What both have in common."""
    wanted = model.monitors.fairness
    assert wanted is not None
    limit = {"minimum": wanted.minimum} if metric == _RATIO else {"maximum": wanted.maximums.get(metric, wanted.maximum)}
    found = {"by": by, "min_n": wanted.min_n, **limit}
    match metric:
        case "calibration_difference":
            return {**found, "labels": tuple(model.labels)}
        case "error_difference":
            return {**found, "of": Mean.ERROR}
        case "score_difference":
            of = _SCORES.get(model.task, Mean.SCORE)
            return {**found, "of": of, "labels": tuple(model.labels), "positive": model.favourable()}
        case _:
            return {**found, "positive": model.favourable()}
