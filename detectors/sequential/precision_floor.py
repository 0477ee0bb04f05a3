"""Precision of a label falls below its floor: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.floor import LabelFloor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs


@register("precision_floor")
@dataclass(frozen=True, kw_only=True)
class PrecisionFloor(LabelFloor):
    """Count: the pairs predicted as the label."""

    metric: ClassVar[str] = "precision"

    def counts(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Those predicted as the label."""
        return np.asarray(pairs.predicted == self.label, dtype=np.bool_)
