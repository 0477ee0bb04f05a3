"""L-infinity distance between the categories of a window and of the reference: the largest change of a single share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.drift.cells import Figure
from detectors.drift.distance import CategoryDistance
from detectors.registry import register
from detectors.sequential.interval import lower_share, upper_share

if TYPE_CHECKING:
    from detectors.drift.cells import Cells


@register("l_infinity")
@dataclass(frozen=True, kw_only=True)
class LInfinity(CategoryDistance):
    """Largest change of the share of one category of a column; a missing value is a category.

    Value: in [0, 1]. Every share lies between its exact bounds on either side at alpha / (4k) each, k categories, so all hold together
    with 1 - alpha (Bonferroni), for any n.
    """

    noun: ClassVar[str] = "largest change of a share"
    guarantee: ClassVar[str] = "the interval holds with 1 - alpha for any n; the limit is set by hand: no error rate is claimed for it"
    assumption: ClassVar[str] = "records independent; the categories kept by the sketch are those that count"
    source: ClassVar[str] = "Clopper & Pearson 1934 (bounds)"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        n_before, n, each = cells.before.sum(), cells.now.sum(), self.alpha / (4.0 * len(cells.now))
        before_low, before_high = lower_share(cells.before, n_before, each), upper_share(cells.before, n_before, each)
        low, high = lower_share(cells.now, n, each), upper_share(cells.now, n, each)
        least = float(np.maximum(low - before_high, before_low - high).max())
        most = float(np.maximum(high - before_low, before_high - low).max())
        value = float(np.abs(cells.now / n - cells.before / n_before).max())
        return Figure(value, max(0.0, min(value, least)), min(1.0, max(value, most)))
