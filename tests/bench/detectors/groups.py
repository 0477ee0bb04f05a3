"""Scenarios of two groups whose answers have scores: one gets lower ones, fewer favourable answers, or a confidence that says too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from tests.bench.detectors.scored import CLASSES, KINDS, SCORED, answered, scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

Ours = dict[str, dict[str, dict[str, Any]]]

_BY = {"by": "age_band", "positive": "positive"}
_WITHIN = {"within": "age_band"}


def _gaps(row: str, detector: str, settings: dict[str, Any], **limits: tuple[float, float]) -> Ours:
    """As shipped, and with next to nothing allowed, since rivals allow nothing."""
    usual, least = ({**settings, **{name: limit[at] for name, limit in limits.items()}} for at in (0, 1))
    return {f"retuned {row}": {detector: usual}, f"retuned {row}, any gap": {detector: least}}


_RATES: Ours = {
    **_gaps("fairness_ratio", "fairness_ratio", _BY, minimum=(0.8, 0.999)),
    **_gaps("fairness_gap of answers", "fairness_gap", {**_BY, "metric": "demographic_parity_difference"}, maximum=(0.1, 0.001)),
    "retuned conformal_category of answers by age_band": {"conformal_category": {"column": "output.label", **_WITHIN}},
}
_SCORES: Ours = {
    **_gaps("fairness_score_gap", "fairness_score_gap", {**_BY, **CLASSES, "of": "score"}, maximum=(0.1, 0.001)),
    "retuned conformal_numeric of scores by age_band": {"conformal_numeric": {"column": "score", **_WITHIN}},
}
_LOSSES: Ours = {
    **_gaps("fairness_calibration_gap", "fairness_calibration_gap", {"by": "age_band", **CLASSES}, maximum=(0.1, 0.001)),
    **_gaps("fairness_gap", "fairness_gap", _BY, maximum=(0.1, 0.001)),
    "retuned risk_change by age_band": {"risk_change": {"tolerance": 0.0, **_WITHIN}},
    "retuned risk_rise by age_band": {"risk_rise": {"tolerance": 0.0, **_WITHIN}},
    "retuned log loss by age_band": {"probability_ceiling": {**CLASSES, "max_rise": 0.001, **_WITHIN}},
    "retuned calibration_change": SCORED["retuned calibration_change"],
}


def _told(scores: float, labels: float, right: float) -> Callable[[np.random.Generator, Floats], Rows]:
    """Groups alike; then the log odds of the second's scores and labels are so much lower, and so many of its right answers turn wrong."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        is_moved = np.where(rng.random(len(much)) < 0.5, 1.0, 0.0)
        logit = rng.normal(0.0, 1.5, len(much))
        p = expit(logit - scores * much * is_moved)
        label = rng.random(len(much)) < expit(logit - labels * much * is_moved)
        is_turned = ((p > 0.5) == label) & (rng.random(len(much)) < right * much * is_moved)
        return {**answered(p, label ^ is_turned), "score": p, "group.age_band": is_moved.astype(np.int64)}

    return draw


_GROUPED: dict[str, Any] = {"kinds": {**KINDS, "score": "numeric", "group.age_band": "pair"}}

SCENARIOS = (
    scored(
        "group-scores",
        "two groups; scores of one fall, .50 to .33 on average, labels as before",
        _told(1.0, 0.0, 0.0),
        ours={**_SCORES, **_RATES, "retuned risk_change by age_band": _LOSSES["retuned risk_change by age_band"]},
        watched=("errors by age_band", "answers by age_band", "scores by age_band"),
        **_GROUPED,
    ),
    scored(
        "group-answers",
        "two groups; one gets three favourable answers in ten instead of five, and as many labels",
        _told(0.8, 0.8, 0.0),
        ours={**_RATES, **_SCORES},
        watched=("answers by age_band", "scores by age_band"),
        **_GROUPED,
    ),
    scored(
        "group-calibration",
        "two groups; a fifth of one's right answers turns wrong, scores as before",
        _told(0.0, 0.0, 0.2),
        ours=_LOSSES,
        watched=("errors by age_band", "log loss by age_band"),
        **_GROUPED,
    ),
)
