"""Mean absolute error of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from detectors.performance.figure import Figure, Loss, means_of, positive_mean
from detectors.registry import register
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.sketches.confusion import Confusion


@register("mae")
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Loss):
    """Mean of |answer - truth|, in the unit of the value, with Student's interval on the logarithm."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})
    cost: ClassVar[str] = "O(1) of sums"
    source: ClassVar[str] = "Willmott & Matsuura 2005, Climate Research 30, for the figure; delta method for the interval"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(max_rise=0.2)

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of numbers alone)
        """Of merged sketches."""
        return positive_mean(means_of(judged, "absolute_error"), self.alpha)
