"""Hellinger distance between the bins of a numeric column in a window and in the reference, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.drift.distance import BinnedDistance
from detectors.drift.divergence import SQUARED_HELLINGER, measured, rooted
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells, Figure


@register("hellinger_numeric")
@dataclass(frozen=True, kw_only=True)
class HellingerNumeric(BinnedDistance):
    """Hellinger distance of one numeric column over the reference's deciles; missing values are a bin of their own.

    Value: sqrt(1 - sum sqrt(p q)), in [0, 1], a metric; at most that of the column itself, since bins only hide differences.
    """

    noun: ClassVar[str] = "Hellinger distance"
    source: ClassVar[str] = "Hellinger 1909; the chi-square limit of its square: Pearson's; KLL as in ks"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        return rooted(measured(SQUARED_HELLINGER, cells, self.alpha))
