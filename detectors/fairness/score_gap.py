"""The gap of a score: whether groups are given alike on average, whatever the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from detectors.fairness.mean_gap import MeanGap
from detectors.group_means import Mean
from detectors.registry import register
from detectors.types import Eats


@register("score_gap")
@dataclass(frozen=True, kw_only=True)
class ScoreGap(MeanGap):
    """Of the favourable label's probability, of the number given, of its absolute error, or of judged quality; of labelled records."""

    of: Mean = Mean.QUALITY
    """What is averaged."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS, Eats.SCORES, Eats.VALUES, Eats.QUALITY})
    source: ClassVar[str] = "fairlearn (MetricFrame.difference of mean_prediction, or of the mean absolute error); Agresti & Coull 1998"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(by="age_band")

    @property
    def mean(self) -> Mean:
        """As set."""
        return self.of
