"""Confidence-based performance estimation: how good the answers are, by their own calibrated scores, before any label is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.performance.calibration import Calibration, score_counts
from detectors.performance.confidence import LEAST_N, Metric, estimate
from detectors.performance.estimated import Estimated
from detectors.performance.scored import calibration_of, counts_of, numbered, with_scores
from detectors.registry import register
from detectors.types import Eats, Kind, Outcome, Score, Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detectors.types import Reference, Window


@dataclass(frozen=True, kw_only=True)
class CbpeState:
    """What the labelled reference rows say."""

    calibration: Calibration
    usual: float
    """The metric on these rows."""


@register("cbpe")
@dataclass(frozen=True, kw_only=True)
class Cbpe:
    """A metric of the window's answers from their scores alone, calibrated on the labelled reference rows (isotonic, 200 bins)."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds the metric that the window's labels will show with about 1 - alpha"
    assumption: ClassVar[str] = "given the score, a class is as likely as in the labelled reference rows (the same concept)"
    cost: ClassVar[str] = "O(classes x 200) a look, flat in records; no labels of the window"
    source: ClassVar[str] = "Białek, Kivimäki, Kuberski & Perrakis 2024, arXiv:2401.08348; isotonic calibration: Zadrozny & Elkan 2002"

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
    """Fewer records in the window: insufficient."""

    def __post_init__(self) -> None:
        if (self.metric == "accuracy") != (self.label is None) or (self.label is not None and self.label not in self.labels):
            raise ValueError(
                f"{self.metric} needs {'no label' if self.metric == 'accuracy' else f'one of {self.labels}'}, got {self.label!r}"
            )
        for name, value in (("alpha", self.alpha), ("max_drop", self.max_drop), ("minimum", self.minimum)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.05 = five in a hundred")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(metric="accuracy", labels=("negative", "positive"))

    @property
    def subject(self) -> str:
        """The metric."""
        return self.metric if self.label is None else f"{self.metric}[label={self.label}]"

    def start(self, reference: Reference) -> CbpeState:
        """The calibrator, and what the metric usually is."""
        calibration = calibration_of(reference, self.labels)
        rows = with_scores(reference.bound, self.labels)
        if rows is None or rows.scores is None:
            return CbpeState(calibration=calibration, usual=0.0)
        usual = self._estimate(score_counts(rows.scores, numbered(rows.predicted, self.labels)), calibration)
        return CbpeState(calibration=calibration, usual=0.0 if usual is None else usual.value)

    def step(self, state: CbpeState, data: Window) -> tuple[CbpeState, Verdict]:
        """One look at a window."""
        counts = counts_of(data, self.labels)
        n = int(counts[:, 1].sum())
        found = self._estimate(counts, state.calibration)
        if found is None or n < self.min_n or state.calibration.n < LEAST_N:
            rows = f"{state.calibration.n:.0f} labelled reference rows with scores (needs {LEAST_N:.0f})"
            nothing = Estimated(value=0.5, low=0.0, high=1.0, n=0.0)
            because = f"{self.subject}: {n} answers with scores (needs {self.min_n}), {rows}"
            return state, self._verdict(Outcome.INSUFFICIENT, nothing, state, n, because)
        floor = self._floor(state)
        is_low = found.high < floor
        because = (
            f"{self.subject} is probably {found.value:.3f}, between {found.low:.3f} and {found.high:.3f}, by the scores of {n} answers, "
            f"no label needed; {'all of it below' if is_low else 'not all of it below'} {floor:.3f} (reference rows: {state.usual:.3f})"
        )
        return state, self._verdict(Outcome.ALARM if is_low else Outcome.OK, found, state, n, because)

    def _estimate(self, counts: NDArray[np.float64], calibration: Calibration) -> Estimated | None:
        label = None if self.label is None else self.labels.index(self.label)
        return estimate(counts, calibration, self.metric, label=label, alpha=self.alpha)

    def _floor(self, state: CbpeState) -> float:
        return self.minimum if self.minimum is not None else max(0.0, state.usual - self.max_drop)

    def _verdict(self, outcome: Outcome, found: Estimated, state: CbpeState, n: int, because: str) -> Verdict:
        floor = self._floor(state)
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
