"""Accuracy falls below its floor: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.registry import register
from detectors.sequential.floor import Floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs


@register("accuracy_floor")
@dataclass(frozen=True, kw_only=True)
class AccuracyFloor(Floor):
    """All labelled pairs count."""

    metric: ClassVar[str] = "accuracy"

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(minimum=0.8, alpha=0.01)

    def counts(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Every pair."""
        return np.ones(pairs.n, dtype=np.bool_)
