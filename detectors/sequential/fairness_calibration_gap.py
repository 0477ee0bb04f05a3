"""The confidence of answers means something else for one group than for another, by more than a maximum: an e-process."""

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


@register("fairness_calibration_gap")
@dataclass(frozen=True, kw_only=True)
class FairnessCalibrationGap(Between):
    """Of the share of right answers less the mean confidence in them, among labelled records with scores.

    What cancels within a group (too sure at high confidence, unsure at low) is not seen.
    """

    labels: tuple[str, ...]
    """The classes, in the order of the scores."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS, Eats.SCORES})

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(by="age_band", labels=("not positive", "positive"))

    @property
    def subject(self) -> str:
        """The metric and its column."""
        return f"{METRICS[Mean.CALIBRATION]}[by={self.by}]"

    @property
    def figures(self) -> tuple[str, ...]:
        """The mean."""
        return ("right answers less confidence",)

    def start(self, reference: Reference) -> GapState:
        """No pairs: a difference of a share and a confidence is in [-1, 1]."""
        within = range_of(Mean.CALIBRATION, reference)
        return no_sums(1, low=within.low, unit=within.unit)

    def values(self, pairs: Pairs) -> Floats:
        """1 or 0, less the confidence."""
        return values_of(Mean.CALIBRATION, pairs, self.labels, "")[:, None]
