"""What estimators of the latest answers' accuracy share: what they speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.performance.estimator import Estimator
from detectors.types import Kind, Score

if TYPE_CHECKING:
    from detectors.performance.confidence import Metric


@dataclass(frozen=True, kw_only=True)
class LatestAccuracy(Estimator):
    """Settings of both (`cbpe_inputs`, `cbpe_corrected`); no detector by itself."""

    metric: Metric = "accuracy"
    """No other."""
    records_n: int = 1000
    """The latest so many answers are spoken of."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ESTIMATES
    evidence: ClassVar[type[Score]] = Score

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric != "accuracy" or self.records_n < 1:
            raise ValueError(f"it is of accuracy, over at least one record; got {self.metric} and records_n={self.records_n}")
