"""Calibration by group: whether the confidence of answers means the same for all groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.fairness.mean_gap import MeanGap
from detectors.group_means import Mean
from detectors.performance.calibration_error import calibration_figure
from detectors.registry import register
from detectors.sketches.score_bins import ANSWER, ScoreBins
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.sketches.means import Sums
    from detectors.types import Window


@register("calibration_gap")
@dataclass(frozen=True, kw_only=True)
class CalibrationGap(MeanGap):
    """Of the share of right answers less the mean confidence; beside it each group's debiased calibration error.

    What cancels within a group (too sure at high confidence, unsure at low) is in the error alone.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS, Eats.SCORES})
    source: ClassVar[str] = "Pleiss et al. 2017, arXiv:1709.02012 (calibration by group); Kumar, Liang & Ma 2019, arXiv:1909.10155"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(by="age_band", labels=("not positive", "positive"), positive="positive")

    @property
    def mean(self) -> Mean:
        """Right answers less confidence."""
        return Mean.CALIBRATION

    def parts(self, judged: Mapping[str, Sums], data: Window) -> dict[str, str]:
        """Which side a group is off, and by how much in all."""
        found = data.judged.get("calibration")
        said = {}
        for group, of in judged.items():
            bins = found.bins(ANSWER, self.by, group) if isinstance(found, ScoreBins) else None
            error = "" if bins is None else f", calibration error {calibration_figure(bins, int(of.n), self.alpha).value:.3f}"
            side = "too sure" if of.mean < 0.0 else "too unsure"
            said[group] = f"{side} by {abs(of.mean):.3f}{error} (n = {int(of.n)})"
        return said
