"""Recall of a label falls below its floor: an e-detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.floor import LabelFloor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs


@register("recall_floor")
@dataclass(frozen=True, kw_only=True)
class RecallFloor(LabelFloor):
    """Count: the pairs that are the label."""

    metric: ClassVar[str] = "recall"

    def counts(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Those that are the label."""
        return np.asarray(pairs.label == self.label, dtype=np.bool_)
