"""Population stability index of a category column, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.drift.distance import CategoryDistance
from detectors.drift.divergence import STABILITY_INDEX, measured
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.drift.cells import Cells, Figure


@register("psi_category")
@dataclass(frozen=True, kw_only=True)
class PsiCategory(CategoryDistance):
    """Population stability index of one category column; a missing value is a category.

    Value: sum (q - p) ln(q / p) >= 0 with half a record added to each category. The upper end takes the share of a category that is new,
    or gone, for 1e-5 where it was not. Many rare categories make it large by chance alone: the
    interval's lower end takes them together.
    """

    limit: float = 0.2
    """The industry's "significant change"; nats."""

    noun: ClassVar[str] = "stability index"
    most: ClassVar[float] = 50.0
    source: ClassVar[str] = "the industry's index and limits (.1, .2/.25); its chi-square limit: Pearson's"

    def measured(self, cells: Cells) -> Figure:
        """Of two columns of counts."""
        return measured(STABILITY_INDEX, cells, self.alpha)
