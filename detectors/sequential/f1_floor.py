"""F1 of a label falls below its floor: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.floor import LabelFloor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs


@register("f1_floor")
@dataclass(frozen=True, kw_only=True)
class F1Floor(LabelFloor):
    """Count: the pairs that are the label or were predicted as it."""

    metric: ClassVar[str] = "f1"

    def counts(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Those that are or were called the label."""
        return np.asarray((pairs.predicted == self.label) | (pairs.label == self.label), dtype=np.bool_)

    def metric_at(self, success: float) -> float:
        """F1 = 2s / (1 + s)."""
        return 2.0 * success / (1.0 + success)

    def success_at(self, metric: float) -> float:
        """S = f / (2 - f)."""
        return metric / (2.0 - metric)
