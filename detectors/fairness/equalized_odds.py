"""Equalised odds: whether groups get the same true and false positive rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors.fairness.rate_gap import RateGap
from detectors.registry import register


@register("equalized_odds")
@dataclass(frozen=True, kw_only=True)
class EqualizedOdds(RateGap):
    """The larger of the gaps in true and in false positive rate between groups."""

    metric: str = "equalized_odds_difference"
    source: ClassVar[str] = "Hardt, Price & Srebro 2016 (equalised odds); fairlearn (definition of the difference); Clopper & Pearson 1934"
