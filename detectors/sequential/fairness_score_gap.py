"""The gap of a score between groups of a protected column is above a maximum: an e-process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.group_means import METRICS, Mean, range_of, values_of
from detectors.registry import register
from detectors.sequential.between import Between
from detectors.sequential.gap import no_sums
from detectors.types import Eats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detectors.sequential.gap import GapState
    from detectors.types import Pairs, Reference

    Floats = NDArray[np.float64]


@register("fairness_score_gap")
@dataclass(frozen=True, kw_only=True)
class FairnessScoreGap(Between):
    """Of the favourable label's probability, of the number given, of its absolute error, or of judged quality, among labelled records.

    Numbers count within the range of the reference's answers, one beyond it as the end of it: the gap is that of these, and the maximum is
    a share of that range.
    """

    of: Mean = Mean.QUALITY
    """What is averaged."""
    labels: tuple[str, ...] = ()
    """The classes, in the order of the scores."""
    positive: str = ""
    """The label that counts as the favourable answer."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS, Eats.SCORES, Eats.VALUES, Eats.QUALITY})

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(by="age_band")

    @property
    def subject(self) -> str:
        """The metric and its column."""
        return f"{METRICS[self.of]}[by={self.by}]"

    @property
    def figures(self) -> tuple[str, ...]:
        """The mean."""
        return (self.of.value,)

    def start(self, reference: Reference) -> GapState:
        """No pairs; where the values can lie."""
        within = range_of(self.of, reference)
        return no_sums(1, low=within.low, unit=within.unit)

    def values(self, pairs: Pairs) -> Floats:
        """In its own unit."""
        return values_of(self.of, pairs, self.labels, self.positive)[:, None]

    def limit(self, state: GapState) -> float:
        """Of numbers a share of the range."""
        return self.maximum * (state.unit if self.of in {Mean.VALUE, Mean.ERROR} else 1.0)
