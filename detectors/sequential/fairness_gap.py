"""The gap of rates between groups of a protected column is above a maximum: an e-process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.fairness.metric import GAPS, counted
from detectors.registry import register
from detectors.sequential.between import Between
from detectors.sequential.gap import no_sums
from detectors.types import Eats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sequential.gap import GapState
    from detectors.types import Pairs, Reference

    Floats = NDArray[np.float64]


@register("fairness_gap")
@dataclass(frozen=True, kw_only=True)
class FairnessGap(Between):
    """Any gap of rates among labelled records: each rate counts the pairs that it is conditional on, by label or by answer.

    An alarm names the pairs of groups whose gap is above the maximum (e-BH: at most alpha of those named are wrong, on average).
    """

    metric: str = "equalized_odds_difference"
    """fairlearn's definition: the largest difference between two groups, of the larger rate."""
    positive: str
    """The label that counts as the favourable answer; accuracy is of all labels."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric not in GAPS:
            raise ValueError(f"metric must be one of {', '.join(GAPS)}, got {self.metric!r}")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(by="age_band", positive="positive", maximum=0.1, alpha=0.01, min_n=50)

    @property
    def subject(self) -> str:
        """The metric and its column."""
        return f"{self.metric}[by={self.by}]"

    @property
    def figures(self) -> tuple[str, ...]:
        """The rates."""
        return tuple(rate.replace("_", " ") for rate in GAPS[self.metric])

    def start(self, reference: Reference) -> GapState:  # noqa: ARG002 (fairness needs no reference: groups are compared with each other)
        """No pairs."""
        return no_sums(len(GAPS[self.metric]))

    def values(self, pairs: Pairs) -> Floats:
        """1 where a pair is a hit of the rate, 0 where not."""
        rates = [counted(rate, pairs.label, pairs.predicted, self.positive) for rate in GAPS[self.metric]]
        return np.stack([np.where(of, hits, np.nan) for hits, of in rates], axis=1)
