"""Population stability index: how far a numeric column's deciles have moved, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.drift.distance import BinnedDistance
from detectors.drift.divergence import STABILITY_INDEX, measured
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells, Figure


@register("psi")
@dataclass(frozen=True, kw_only=True)
class Psi(BinnedDistance):
    """Population stability index of one numeric column over the reference's deciles; missing values are a bin of their own.

    Value: sum (q - p) ln(q / p) >= 0 with half a record added to each bin. The upper end takes the share of an empty one for 1e-5.
    """

    limit: float = 0.2
    """The industry's "significant change"; nats."""

    noun: ClassVar[str] = "stability index"
    most: ClassVar[float] = 50.0  # nats; half a record in each bin keeps the index below 2 ln(2 n), 43 for a billion records
    source: ClassVar[str] = "the industry's index and limits (.1, .2/.25); its chi-square limit: Pearson's; KLL as in ks"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        return measured(STABILITY_INDEX, cells, self.alpha)
