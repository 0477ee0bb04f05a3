"""The mean quality of judged answers falls below its floor: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from detectors.registry import register
from detectors.sequential.ceiling import Ceiling
from detectors.sequential.loss import Loss
from detectors.types import Eats


@register("score_floor")
@dataclass(frozen=True, kw_only=True)
class ScoreFloor(Ceiling):
    """What a judge, users or an exact match give, in [0, 1], 1 best. Speaks of judged answers: whoever chooses these chooses the mean."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY})

    minimum: float | None = None
    """The floor. None: derived from `max_drop`."""
    max_drop: float | None = None
    """Floor = lower bound (at delta) of the mean on the bound rows, less this. Ignored when `minimum` is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum is None and self.max_drop is None:
            raise ValueError("give `minimum` or `max_drop`; max_drop=0.05 = five points below the bound rows")
        for name, value in (("minimum", self.minimum), ("max_drop", self.max_drop)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.05 = five points")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(minimum=0.7, alpha=0.01)

    @property
    def subject(self) -> str:
        """The mean."""
        return self.named("score")

    @property
    def loss(self) -> Loss:
        """1 less the quality."""
        return Loss.QUALITY

    @property
    def fixed(self) -> float | None:
        """1 less the floor."""
        return None if self.minimum is None else 1.0 - self.minimum

    def above(self, upper: float) -> float:
        """Points more."""
        return upper + (self.max_drop or 0.0)

    def shown(self, mean: float) -> float:
        """The quality."""
        return 1.0 - mean
