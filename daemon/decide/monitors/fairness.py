"""Fairness between the groups of protected columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.registry import build

if TYPE_CHECKING:
    from daemon.settings import ModelSettings
    from detectors.types import Detector

_FAIRNESS = {"equalized_odds_difference": "equalized_odds", "demographic_parity_difference": "demographic_parity"}


def fairness(model: ModelSettings) -> list[Detector]:
    """Each protected column that is asked for: one that informs, one that alarms."""
    wanted = model.monitors.fairness
    if wanted is None or not model.labels:
        return []
    common = {"maximum": wanted.maximum, "min_n": wanted.min_n, "positive": model.labels[-1]}
    informing = [build(_FAIRNESS[wanted.metric], by=by, **common) for by in wanted.by]
    return informing + [build("fairness_gap", metric=wanted.metric, by=by, **common) for by in wanted.by]
