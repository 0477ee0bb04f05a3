"""Total variation distance between the categories of a window and of the reference: the share of records that would have to change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.drift.cells import Figure, pooled
from detectors.drift.distance import CategoryDistance
from detectors.drift.interval import smoothed
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells


@register("total_variation")
@dataclass(frozen=True, kw_only=True)
class TotalVariation(CategoryDistance):
    """Total variation distance of one category column: half the sum of all share changes; a missing value is a category.

    Value: in [0, 1]. One record of n moves the estimate by at most 1/n, so it lies within r = sqrt(ln(2/alpha) (1/n + 1/m) / 2) of its
    mean, with alpha / 2 on either side (McDiarmid). That mean is at least the true distance (Jensen), hence high = value + r; and larger
    by at most half the sum of E|noise| of the changes, sqrt(2/pi) of a standard deviation each, hence low = value - r - that sum, with
    rare categories as one.
    """

    noun: ClassVar[str] = "total variation distance"
    guarantee: ClassVar[str] = (
        "the interval's upper end holds for any n, its lower end asymptotically; the limit is set by hand: no error rate is claimed for it"
    )
    source: ClassVar[str] = "McDiarmid 1989, On the method of bounded differences (radius)"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        n_before, n = float(cells.before.sum()), float(cells.now.sum())
        radius = math.sqrt(math.log(2.0 / self.alpha) * (1.0 / n_before + 1.0 / n) / 2.0)
        few = pooled(cells)
        p, q = smoothed(few.before), smoothed(few.now)
        chance = math.sqrt(2.0 / math.pi) * float(np.sqrt(p * (1.0 - p) / n_before + q * (1.0 - q) / n).sum()) / 2.0
        value = _distance(cells)
        return Figure(value, max(0.0, _distance(few) - radius - chance), min(1.0, value + radius))


def _distance(cells: Cells) -> float:
    return min(1.0, float(np.abs(cells.before / cells.before.sum() - cells.now / cells.now.sum()).sum()) / 2.0)
