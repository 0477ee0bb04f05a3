"""Demographic parity: whether groups get the favourable answer equally often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors.fairness.rate_gap import RateGap
from detectors.registry import register


@register("demographic_parity")
@dataclass(frozen=True, kw_only=True)
class DemographicParity(RateGap):
    """The gap between groups in the share of favourable answers (truth plays no part, but the counts are of labelled pairs)."""

    metric: str = "demographic_parity_difference"
    source: ClassVar[str] = "Agarwal et al. 2018, arXiv:1803.02453 (definition); fairlearn (of the difference); Clopper & Pearson 1934"
