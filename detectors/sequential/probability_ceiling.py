"""The log loss or the Brier score of class probabilities rises above its ceiling: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from detectors.registry import register
from detectors.sequential.ceiling import Ceiling
from detectors.sequential.loss import Loss
from detectors.sequential.value_ceiling import check_ceiling
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Sequence


@register("probability_ceiling")
@dataclass(frozen=True, kw_only=True)
class ProbabilityCeiling(Ceiling):
    """Mean log loss (nats, clipped, which is said) or Brier score (half the squared distance, in [0, 1]) of pairs with all scores."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})

    metric: Literal["log_loss", "brier"] = "log_loss"
    """Which loss."""
    labels: tuple[str, ...]
    """The classes, in the order of the scores."""
    maximum: float | None = None
    """The ceiling. None: derived from `max_rise`."""
    max_rise: float | None = None
    """Ceiling = upper bound (at delta) of the loss on the bound rows, and this share of it more. Ignored when `maximum` is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ceiling(self.maximum, self.max_rise)

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(metric="log_loss", labels=("negative", "positive"), max_rise=0.1, alpha=0.01)

    @property
    def subject(self) -> str:
        """The metric."""
        return self.named(self.metric)

    @property
    def loss(self) -> Loss:
        """By the metric."""
        return Loss(self.metric)

    @property
    def classes(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    @property
    def fixed(self) -> float | None:
        """As given."""
        return self.maximum

    def above(self, upper: float) -> float:
        """A share more."""
        return upper * (1.0 + (self.max_rise or 0.0))
