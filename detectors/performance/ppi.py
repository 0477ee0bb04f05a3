"""Accuracy from few labels and all scores: PPI++ on the window's sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from detectors.performance.few_labels import FewLabels, FewMetric
from detectors.registry import register


@register("ppi")
@dataclass(frozen=True, kw_only=True)
class Ppi(FewLabels):
    """Prediction-powered accuracy: the scores say of every record how likely its answer is right, the labels how wrong that is."""

    guarantee: ClassVar[str] = (
        "interval with about 1 - alpha, however wrong the scores are; as wide as so few labels leave it, also when all are right"
    )
    source: ClassVar[str] = "Angelopoulos, Duchi & Zrnic 2023, PPI++, arXiv:2311.01453; Agresti & Coull 1998 for the rows that are added"

    metrics: ClassVar[tuple[FewMetric, ...]] = ("accuracy",)

    metric: FewMetric = "accuracy"
    """No other."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("negative", "positive"), minimum=0.8)
