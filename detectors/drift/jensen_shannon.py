"""Jensen-Shannon distance between the categories of a window and of the reference, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.drift.distance import CategoryDistance
from detectors.drift.divergence import JENSEN_SHANNON, measured, rooted
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells, Figure


@register("jensen_shannon")
@dataclass(frozen=True, kw_only=True)
class JensenShannon(CategoryDistance):
    """Jensen-Shannon distance (base 2) of one category column; a missing value is a category.

    Value: square root of the divergence, in [0, 1], a metric. Limit .1: a divergence of .01 bits, shares of 50 % and about 62 %.
    """

    noun: ClassVar[str] = "Jensen-Shannon distance"
    source: ClassVar[str] = "Lin 1991 (divergence); Endres & Schindelin 2003 (its root is a metric)"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        return rooted(measured(JENSEN_SHANNON, cells, self.alpha))
