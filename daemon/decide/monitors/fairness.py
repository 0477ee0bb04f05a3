"""Fairness between the groups of protected columns and of their intersections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.registry import build

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.types import Detector

_NAMED = {
    "equalized_odds_difference": "equalized_odds",
    "demographic_parity_difference": "demographic_parity",
    "demographic_parity_ratio": "disparate_impact",
}
_RATIO = "demographic_parity_ratio"


def favourable(model: ModelSettings) -> str:
    """The label that is the favourable answer."""
    wanted = model.monitors.fairness
    return model.labels[-1] if wanted is None or wanted.positive is None else wanted.positive


def fairness(model: ModelSettings) -> list[Detector]:
    """Each metric by each column and intersection: one that informs and, of a difference, one that alarms."""
    wanted = model.monitors.fairness
    if wanted is None or not model.labels:
        return []
    columns = [*dict.fromkeys(wanted.by), *wanted.crossed()]
    metrics = wanted.watched()
    common = {"min_n": wanted.min_n, "positive": favourable(model)}
    limits = {m: {"minimum": wanted.minimum} if m == _RATIO else {"maximum": wanted.maximums.get(m, wanted.maximum)} for m in metrics}
    alarming = [m for m in metrics if m != _RATIO]
    informing = [
        build(_NAMED[m], by=by, **common, **limits[m]) if m in _NAMED else build("rate_gap", metric=m, by=by, **common, **limits[m])
        for by in columns
        for m in metrics
    ]
    return informing + [build("fairness_gap", metric=m, by=by, **common, **limits[m]) for by in columns for m in alarming]
