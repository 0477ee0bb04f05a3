"""F1, precision and recall of a class from few labels and all scores: PPI++ of a ratio on the window's sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from detectors.performance.few_labels import FewLabels, FewMetric
from detectors.registry import register


@register("ppi_class")
@dataclass(frozen=True, kw_only=True)
class PpiClass(FewLabels):
    """Prediction-powered F1, precision or recall of one class: `ppi`, of what is answered so, is truly so, or both.

    n = effective labels that count for it: answered so (precision), truly so (recall), either (F1). All answers are known, so that of
    precision the scores have little to add.
    """

    guarantee: ClassVar[str] = (
        "interval with about 1 - alpha, however wrong the scores are; as wide as so few labels leave it, also when all are right"
    )
    source: ClassVar[str] = (
        "Angelopoulos, Duchi & Zrnic 2023, PPI++, arXiv:2311.01453, on the rows of the linearised ratio; "
        "Agresti & Coull 1998 for the rows that are added"
    )
    metrics: ClassVar[tuple[FewMetric, ...]] = ("precision", "recall", "f1")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(metric="f1", label="positive", labels=("negative", "positive"), minimum=0.8)
