"""Jensen-Shannon distance between the bins of a numeric column in a window and in the reference, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.drift.distance import BinnedDistance
from detectors.drift.divergence import JENSEN_SHANNON, measured, rooted
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells, Figure


@register("jensen_shannon_numeric")
@dataclass(frozen=True, kw_only=True)
class JensenShannonNumeric(BinnedDistance):
    """Jensen-Shannon distance (base 2) of one numeric column over the reference's deciles; missing values are a bin of their own.

    Value: square root of the divergence, in [0, 1], a metric; at most that of the column itself, since bins only hide differences.
    """

    noun: ClassVar[str] = "Jensen-Shannon distance"
    source: ClassVar[str] = "Lin 1991 (divergence); Endres & Schindelin 2003 (its root is a metric); KLL as in ks"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        return rooted(measured(JENSEN_SHANNON, cells, self.alpha))
