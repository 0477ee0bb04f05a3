"""Hellinger distance between the categories of a window and of the reference, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.drift.distance import CategoryDistance
from detectors.drift.divergence import SQUARED_HELLINGER, measured, rooted
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells, Figure


@register("hellinger")
@dataclass(frozen=True, kw_only=True)
class Hellinger(CategoryDistance):
    """Hellinger distance of one category column; a missing value is a category.

    Value: sqrt(1 - sum sqrt(p q)), in [0, 1], a metric. Limit .1: shares of 50 % and about 64 %.
    """

    noun: ClassVar[str] = "Hellinger distance"
    source: ClassVar[str] = "Hellinger 1909; the chi-square limit of its square: Pearson's"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        return rooted(measured(SQUARED_HELLINGER, cells, self.alpha))
