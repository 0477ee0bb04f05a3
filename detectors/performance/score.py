"""Mean score of judged answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from detectors.performance.figure import Figure, Good, means_of, unit_mean
from detectors.registry import register
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.sketches.confusion import Confusion


@register("score")
@dataclass(frozen=True, kw_only=True)
class MeanScore(Good):
    """Mean of what a judge, users or an exact match gave, in [0, 1]. Speaks of judged answers: whoever chooses these chooses the mean."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY})
    cost: ClassVar[str] = "O(1) of sums"
    source: ClassVar[str] = "Agresti & Coull 1998, for the interval"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(minimum=0.7)

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of judgements alone)
        """Of merged sketches."""
        return unit_mean(means_of(judged, "quality"), self.alpha)
