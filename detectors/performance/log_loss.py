"""Log loss: how surprised the scores are by the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from detectors.performance.figure import Figure, Loss, means_of, positive_mean
from detectors.registry import register
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.sketches.confusion import Confusion


@register("log_loss")
@dataclass(frozen=True, kw_only=True)
class LogLoss(Loss):
    """Mean of -ln p of the true class, in nats, of pairs with all scores; equals scikit-learn's on the same pairs."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    cost: ClassVar[str] = "O(1) of sums"
    source: ClassVar[str] = "Good 1952, Rational Decisions; interval: Student's on the logarithm"

    labels: tuple[str, ...]
    """The classes, in the order of the scores."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("negative", "positive"), maximum=0.8)

    @property
    def classes(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of scores alone)
        """Of merged sketches."""
        return positive_mean(means_of(judged, "log_loss"), self.alpha)
