"""What estimators of a metric without labels share: the metric, what it is held to, and how it is told (`cbpe`, `pape`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.performance.calibration import calibrate, score_counts
from detectors.performance.confidence import LEAST_COUNTED_N, LEAST_N, Metric, estimate
from detectors.performance.estimated import Estimated
from detectors.performance.scored import numbered, with_scores
from detectors.types import Outcome, Score, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detectors.performance.calibration import Calibration
    from detectors.types import Pairs


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Settings of both; no detector by itself."""

    name: ClassVar[str]

    metric: Metric
    labels: tuple[str, ...]
    """The model's classes, in the order of the scores."""
    label: str | None = None
    """The class that the metric is of; None for accuracy."""
    minimum: float | None = None
    """Alarm when all of the interval is below this. None: the metric on the reference rows less `max_drop`."""
    max_drop: float = 0.05
    alpha: float = 0.05
    min_n: int = 100
    """Fewer records: insufficient."""

    def __post_init__(self) -> None:
        if (self.metric == "accuracy") != (self.label is None) or (self.label is not None and self.label not in self.labels):
            raise ValueError(
                f"{self.metric} needs {'no label' if self.metric == 'accuracy' else f'one of {self.labels}'}, got {self.label!r}"
            )
        for name, value in (("alpha", self.alpha), ("max_drop", self.max_drop), ("minimum", self.minimum)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.05 = five in a hundred")

    @property
    def subject(self) -> str:
        """The metric."""
        return self.metric if self.label is None else f"{self.metric}[label={self.label}]"

    def estimate(self, counts: NDArray[np.float64], calibration: Calibration) -> Estimated | None:
        """Of records by class, answered or not, and bin, (k, 2, bins); None where it would be of too few."""
        label = None if self.label is None else self.labels.index(self.label)
        return estimate(counts, calibration, self.metric, label=label, alpha=self.alpha)

    def usual(self, bound: Pairs) -> float:
        """The metric on labelled reference rows with scores, by the same way: an answer that is none of the classes is wrong there, too."""
        rows = with_scores(bound, self.labels, is_any_answer=True)
        if rows is None or rows.scores is None:
            return 0.0
        answers, truth = numbered(rows.predicted, self.labels), numbered(rows.label, self.labels)
        found = self.estimate(score_counts(rows.scores, answers), calibrate(rows.scores, truth, rows.weight))
        return 0.0 if found is None else found.value

    def said(self, found: Estimated | None, *, n: int, labelled_n: float, usual: float, by: str, of_them: str) -> Verdict:
        """What was found from `n` records and so many (effective) labelled rows. `by`: "by the scores of 120 answers, no label needed"."""
        floor = self.minimum if self.minimum is not None else max(0.0, usual - self.max_drop)
        if found is None or n < self.min_n or labelled_n < LEAST_N:
            because = f"{self.subject}: {n} answers with scores (needs {self.min_n}), {labelled_n:.0f} {of_them} (needs {LEAST_N:.0f})"
            if n >= self.min_n and labelled_n >= LEAST_N:
                because += f"; fewer than {LEAST_COUNTED_N:.0f} of the answers are expected to count for it"
            return self._verdict(Outcome.INSUFFICIENT, Estimated(value=0.5, low=0.0, high=1.0, n=0.0), floor, n, because)
        is_low = found.high < floor
        because = (
            f"{self.subject} is probably {found.value:.3f}, between {found.low:.3f} and {found.high:.3f}, {by}; "
            f"{'all of it below' if is_low else 'not all of it below'} {floor:.3f} (reference rows: {usual:.3f})"
        )
        return self._verdict(Outcome.ALARM if is_low else Outcome.OK, found, floor, n, because)

    def _verdict(self, outcome: Outcome, found: Estimated, floor: float, n: int, because: str) -> Verdict:
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=1.0 - found.value, limit=1.0 - floor),
            value=found.value,
            low=found.low,
            high=found.high,
            n=n,
            because=because,
            limit=floor,
        )
