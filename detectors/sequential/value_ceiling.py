"""The error of a regression rises above its ceiling: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from detectors.registry import register
from detectors.sequential.ceiling import Ceiling
from detectors.sequential.loss import Loss
from detectors.types import Eats


@register("value_ceiling")
@dataclass(frozen=True, kw_only=True)
class ValueCeiling(Ceiling):
    """Mean absolute error, or root mean squared error (bet on as the mean square), in the unit of the value; clipped, which is said."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})

    metric: Literal["mae", "rmse"] = "mae"
    """Which error."""
    maximum: float | None = None
    """The ceiling. None: derived from `max_rise`."""
    max_rise: float | None = None
    """Ceiling = upper bound (at delta) of the error on the bound rows, and this share of it more. Ignored when `maximum` is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ceiling(self.maximum, self.max_rise)

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(metric="mae", max_rise=0.1, alpha=0.01)

    @property
    def subject(self) -> str:
        """The metric."""
        return self.named(self.metric)

    @property
    def loss(self) -> Loss:
        """By the metric."""
        return Loss.ABSOLUTE_ERROR if self.metric == "mae" else Loss.SQUARED_ERROR

    @property
    def fixed(self) -> float | None:
        """In the unit of the loss."""
        return None if self.maximum is None else self.maximum**self._power

    def above(self, upper: float) -> float:
        """A share more."""
        return upper * (1.0 + (self.max_rise or 0.0)) ** self._power

    def shown(self, mean: float) -> float:
        """The root, for the root mean squared error."""
        return float(max(0.0, mean) ** (1.0 / self._power))

    @property
    def _power(self) -> int:
        return 1 if self.metric == "mae" else 2


def check_ceiling(maximum: float | None, max_rise: float | None) -> None:
    """Refuse what sets no ceiling."""
    if maximum is None and max_rise is None:
        raise ValueError("give `maximum` or `max_rise`; max_rise=0.1 = a tenth more than on the bound rows")
    for name, value in (("maximum", maximum), ("max_rise", max_rise)):
        if value is not None and not value > 0.0:
            raise ValueError(f"{name} must be above 0, got {value}")
