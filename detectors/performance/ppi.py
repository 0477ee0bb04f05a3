"""Accuracy from few labels and all scores: PPI++ on the window's sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.performance.calibration import calibrate
from detectors.performance.prediction_powered import Moments, powered
from detectors.performance.scored import counts_of, numbered, with_scores
from detectors.registry import register
from detectors.sketches.score_bins import ANSWER, Bin, ScoreBins
from detectors.types import Eats, Kind, Outcome, Score, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Reference, Window


@dataclass(frozen=True, kw_only=True)
class PpiState:
    """What is predicted."""

    chance: NDArray[np.float64]
    """That an answer is right, by bin of its score, (bins,)."""


@register("ppi")
@dataclass(frozen=True, kw_only=True)
class Ppi:
    """Prediction-powered accuracy: the scores say of every record how likely its answer is right, the labels how wrong that is."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "interval with about 1 - alpha, however wrong the scores are; as wide as so few labels leave it, also when all are right"
    )
    assumption: ClassVar[str] = "the labelled records are drawn from records like the window's, with known probabilities (their weights)"
    cost: ClassVar[str] = "O(classes x 200) a look, flat in records"
    source: ClassVar[str] = "Angelopoulos, Duchi & Zrnic 2023, PPI++, arXiv:2311.01453; Agresti & Coull 1998 for the rows that are added"

    labels: tuple[str, ...]
    """The model's classes, in the order of the scores."""
    minimum: float | None = None
    """Alarm when all of the interval is below this; None = figure only."""
    alpha: float = 0.05
    min_n: int = 30
    """Fewer effective labels: insufficient."""

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("minimum", self.minimum)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.05 = five in a hundred")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("negative", "positive"), minimum=0.8)

    @property
    def subject(self) -> str:
        """Always accuracy."""
        return "accuracy"

    def start(self, reference: Reference) -> PpiState:
        """How likely an answer is right at each score; without labelled reference rows all alike, and the labels speak alone."""
        rows = with_scores(reference.bound, self.labels)
        if rows is None or rows.scores is None:
            return PpiState(chance=calibrate(np.empty((0, 1)), np.empty(0, dtype=np.int64)).chance[0])
        confidence = np.take_along_axis(rows.scores, numbered(rows.predicted, self.labels)[:, None], axis=1)  # (n, 1)
        is_wrong = (rows.predicted != rows.label).astype(np.int64)  # class 0 = right
        return PpiState(chance=calibrate(confidence, is_wrong, rows.weight).chance[0])

    def step(self, state: PpiState, data: Window) -> tuple[PpiState, Verdict]:
        """One look at a window."""
        of_all = counts_of(data, self.labels)[:, 1].sum(axis=0)  # (bins,)
        judged = data.judged.get("calibration")
        labelled = judged.bins(ANSWER) if isinstance(judged, ScoreBins) else None
        few = None if labelled is None else _moments(labelled, state.chance)
        n_all, n = float(of_all.sum()), 0.0 if few is None else few.n
        if few is None or n < self.min_n or not n_all:
            because = f"accuracy: {n:.0f} effective labels with scores (needs {self.min_n}) among {n_all:.0f} records"
            return state, self._verdict(Outcome.INSUFFICIENT, (0.5, 0.0, 1.0), int(n), because)
        mean = float(of_all @ state.chance) / n_all
        spread = float(of_all @ (state.chance - mean) ** 2) / n_all**2
        found = powered(few, mean=mean, variance=spread, alpha=self.alpha)
        is_low = self.minimum is not None and found.high < self.minimum
        because = (
            f"accuracy is {found.value:.3f}, between {found.low:.3f} and {found.high:.3f}, by {n:.0f} labels and the scores of {n_all:.0f} "
            f"records (labels alone: {few.y:.3f})" + ("" if self.minimum is None else f"; the minimum is {self.minimum:g}")
        )
        return state, self._verdict(Outcome.ALARM if is_low else Outcome.OK, (found.value, found.low, found.high), int(n), because)

    def _verdict(self, outcome: Outcome, figure: tuple[float, float, float], n: int, because: str) -> Verdict:
        value, low, high = figure
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=1.0 - value, limit=1.0 - (self.minimum or 0.0)),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
            limit=self.minimum,
        )


def _moments(labelled: Bin, chance: NDArray[np.float64]) -> Moments | None:
    """Sums of truth (right = 1) and prediction over the bins; None without weight."""
    total = float(labelled.w.sum())
    if total <= 0.0:
        return None
    y, f = float(labelled.wy.sum()) / total, float(labelled.w @ chance) / total
    away = chance - f  # (bins,)
    squares = total**2
    return Moments(
        n=squares / float(labelled.w2.sum()),
        y=y,
        f=f,
        yy=float((labelled.w2y * (1.0 - 2.0 * y) + y**2 * labelled.w2).sum()) / squares,
        ff=float(labelled.w2 @ away**2) / squares,
        yf=float(away @ (labelled.w2y - y * labelled.w2)) / squares,
    )
