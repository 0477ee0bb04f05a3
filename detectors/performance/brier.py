"""Brier score: how far the scores are from the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from detectors.performance.figure import Figure, Loss, means_of, unit_mean
from detectors.registry import register
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.sketches.confusion import Confusion


@register("brier")
@dataclass(frozen=True, kw_only=True)
class Brier(Loss):
    """Mean of half the squared distance between scores and truth, in [0, 1]; of two classes scikit-learn's Brier score."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    cost: ClassVar[str] = "O(1) of sums"
    source: ClassVar[str] = "Brier 1950, Verification of Forecasts Expressed in Terms of Probability"

    labels: tuple[str, ...]
    """The classes, in the order of the scores."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("negative", "positive"), maximum=0.3)

    @property
    def classes(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of scores alone)
        """Of merged sketches."""
        return unit_mean(means_of(judged, "brier"), self.alpha)
