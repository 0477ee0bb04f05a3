"""A metric from few labels and all scores: how a window is read, and how the figure is told (`ppi`, `ppi_class`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from detectors.performance.calibration import calibrate
from detectors.performance.estimated import Estimated
from detectors.performance.prediction_powered import powered_ratio
from detectors.performance.scored import counts_of, numbered, with_scores
from detectors.sketches.score_bins import ANSWER, BINS_N, ScoreBins
from detectors.types import Eats, Kind, Outcome, Score, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sketches.score_bins import Bin
    from detectors.types import Reference, Window

    Floats = NDArray[np.float64]

FewMetric = Literal["accuracy", "precision", "recall", "f1"]
_CELLS = (2, 2, BINS_N)
"""Answered so or not, true or not, bin of the score. Of accuracy the score is the answer's, whichever it was, and true is right."""
_NOTHING = Estimated(value=0.5, low=0.0, high=1.0, n=0.0)
_ROUNDING = 1e-12
"""As a share of all: sums that are equal differ by less."""
_ANSWERED, _TRUE = (x.astype(np.float64) for x in np.indices(_CELLS)[:2])


@dataclass(frozen=True, kw_only=True)
class PpiState:
    """What is predicted."""

    chance: Floats
    """That the class (of accuracy: the answer) is true, by bin of its score, (bins,)."""


@dataclass(frozen=True, kw_only=True)
class FewLabels:
    """Settings of both; no detector by itself."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    assumption: ClassVar[str] = "the labelled records are drawn from records like the window's, with known probabilities (their weights)"
    cost: ClassVar[str] = "O(classes x 200) a look, flat in records"
    metrics: ClassVar[tuple[FewMetric, ...]]
    """Those that it is of."""

    metric: FewMetric
    labels: tuple[str, ...]
    """The model's classes, in the order of the scores."""
    label: str | None = None
    """The class that the metric is of; None for accuracy."""
    minimum: float | None = None
    """Alarm when all of the interval is below this; None = figure only."""
    alpha: float = 0.05
    min_n: int = 30
    """Fewer effective labels that count for the metric: insufficient."""

    def __post_init__(self) -> None:
        if self.metric not in self.metrics:
            raise ValueError(f"it is of {', '.join(self.metrics)}, got {self.metric!r}")
        if (self.metric == "accuracy") != (self.label is None) or (self.label is not None and self.label not in self.labels):
            needs = "no label" if self.metric == "accuracy" else f"one of {self.labels}"
            raise ValueError(f"{self.metric} needs {needs}, got {self.label!r}")
        for name, value in (("alpha", self.alpha), ("minimum", self.minimum)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.05 = five in a hundred")

    @property
    def subject(self) -> str:
        """The metric."""
        return self.metric if self.label is None else f"{self.metric}[label={self.label}]"

    def start(self, reference: Reference) -> PpiState:
        """What the score means; without labelled reference rows the same whatever it is, and the labels speak alone."""
        rows = with_scores(reference.bound, self.labels)
        if rows is None or rows.scores is None:
            return PpiState(chance=calibrate(np.empty((0, 1)), np.empty(0, dtype=np.int64)).chance[0])
        of = numbered(rows.predicted, self.labels) if self.label is None else np.full(rows.n, self.labels.index(self.label))
        is_other = (numbered(rows.label, self.labels) != of).astype(np.int64)  # class 0 = true
        return PpiState(chance=calibrate(np.take_along_axis(rows.scores, of[:, None], axis=1), is_other, rows.weight).chance[0])

    def step(self, state: PpiState, data: Window) -> tuple[PpiState, Verdict]:
        """One look at a window."""
        counts, judged = counts_of(data, self.labels), data.judged.get("calibration")
        every = self._records(counts)
        few = self._labelled(judged) if isinstance(judged, ScoreBins) else np.zeros((2, *_CELLS))
        w, w2 = few[:, self._columns(_TRUE)[..., 1] > 0.0].sum(axis=-1)
        n, n_all = (w**2 / w2 if w2 else 0.0), float(every.sum())
        found, alone = self._figure(few, every, state.chance) if n >= self.min_n and n_all else (_NOTHING, 0.0)
        if found.high - found.low >= 1.0:
            return state, self._verdict(Outcome.INSUFFICIENT, replace(_NOTHING, n=n), self._lacks(n, n_all, judged))
        wrong_n = int(counts[0].sum() - n_all)  # of accuracy: answers that are none of the classes
        found, alone = _with_wrong(found, n_all, wrong_n), alone * n_all / (n_all + wrong_n)
        is_low, labels = self.minimum is not None and found.high < self.minimum, "labels" if self.label is None else "labels that count"
        because = (
            f"{self.subject} is {found.value:.3f}, between {found.low:.3f} and {found.high:.3f}, by {n:.0f} {labels} and the scores of "
            f"{n_all:.0f} records (labels alone: {alone:.3f})"
        )
        because += f"; {wrong_n} more, whose answer is none of the classes, are wrong" if wrong_n else ""
        because += "" if self.minimum is None else f"; the minimum is {self.minimum:g}"
        return state, self._verdict(Outcome.ALARM if is_low else Outcome.OK, replace(found, n=n), because)

    def _lacks(self, n: float, n_all: float, judged: object) -> str:
        said = f"{self.subject}: {n:.0f} effective labels with scores (needs {self.min_n}) among {n_all:.0f} records"
        if self.label is not None and isinstance(judged, ScoreBins) and not judged.knows_answers():
            return f"{said}; the window has labels that an earlier release counted, which did not keep to which class they were answered"
        return said if n < self.min_n or not n_all else f"{said}; the labels are of records unlike these"

    def _records(self, counts: Floats) -> Floats:
        """All records by answered so or not and bin, (2, bins), from those by class, answered or not, and bin, (k, 2, bins)."""
        if self.label is None:
            return np.stack([np.zeros(BINS_N), counts[:, 1].sum(axis=0)])
        found: Floats = counts[self.labels.index(self.label)]
        return found

    def _labelled(self, judged: ScoreBins) -> Floats:
        """Sums of the labelled ones' weights, and of their squares, (2, cells); of none where some lack the class that was answered."""
        if self.label is None:
            every = answered = judged.bins(ANSWER)
        else:
            every, answered = judged.bins(self.label) if judged.knows_answers() else None, judged.answered(self.label)
        so = _by_truth(answered)
        found = np.stack([_by_truth(every) - so, so], axis=1)
        return np.where(found > _ROUNDING * found.sum(axis=(1, 2, 3), keepdims=True), found, 0.0)

    def _columns(self, true: Floats) -> Floats:
        """Numerator and denominator of each cell whose class is true with this chance, (cells, 2)."""
        hits = _ANSWERED * true
        if self.metric == "f1":
            return np.stack([2.0 * hits, _ANSWERED + true], axis=-1)
        return np.stack([hits, true if self.metric == "recall" else _ANSWERED], axis=-1)

    def _figure(self, few: Floats, every: Floats, chance: Floats) -> tuple[Estimated, float]:
        """By labels and scores, and by the labels alone."""
        y, f = self._columns(_TRUE), self._columns(np.broadcast_to(chance, _CELLS))
        found = powered_ratio(
            y.reshape(-1, 2),
            f.reshape(-1, 2),
            f[:, 0].reshape(-1, 2),
            few[0].ravel(),
            squares=few[1].ravel(),
            count=every.ravel(),
            hit=2.0 if self.metric == "f1" else 1.0,
            alpha=self.alpha,
        )
        top, bottom = few[0].ravel() @ y.reshape(-1, 2)
        return found, float(top / bottom)

    def _verdict(self, outcome: Outcome, found: Estimated, because: str) -> Verdict:
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=1.0 - found.value, limit=1.0 - (self.minimum or 0.0)),
            value=found.value,
            low=found.low,
            high=found.high,
            n=int(found.n),
            because=because,
            limit=self.minimum,
        )


def _with_wrong(found: Estimated, n: float, wrong_n: int) -> Estimated:
    """A share of n records, as one of these and of so many that are surely wrong."""
    by = n / (n + wrong_n)
    return replace(found, value=found.value * by, low=found.low * by, high=found.high * by)


def _by_truth(bins: Bin | None) -> Floats:
    """Sums of weights, and of their squares, by true or not and bin, (2, 2, bins)."""
    if bins is None:
        return np.zeros((2, 2, BINS_N))
    return np.array([[bins.w - bins.wy, bins.wy], [bins.w2 - bins.w2y, bins.w2y]])
