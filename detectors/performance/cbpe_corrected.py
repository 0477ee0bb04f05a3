"""Accuracy from the scores of the latest records and from every label so far: what the labels say of the scores is remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.performance.correction import Correction, corrected, no_correction, offset_of
from detectors.performance.estimated import normal_estimate
from detectors.performance.latest_accuracy import LatestAccuracy
from detectors.performance.scored import calibration_of, numbered
from detectors.registry import register
from detectors.sketches.score_bins import bin_of
from detectors.types import Eats, Increment, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

_BLOCK_N = 25
"""Labels that are taken in at once: the mean of so many is nearly normal."""


@dataclass(frozen=True, kw_only=True)
class CorrectedState:
    """What scores mean, what the labels said of that, and the latest records."""

    chance: Floats
    """That each class is true, by bin of its score, (k, bins)."""
    labelled_n: float
    """Effective labelled reference rows behind it."""
    usual: float
    """The accuracy on these rows."""
    correction: Correction
    block: Floats
    """Sums over labels that make no whole block yet: 1, w, w r, w r^2, w f (1 - f), w^2; r = right - f, (6,)."""
    pool: Floats
    """Chances f that the latest answers are right, (at most records_n,)."""
    labels_n: int = 0


@register("cbpe_corrected")
@dataclass(frozen=True, kw_only=True)
class CbpeCorrected(LatestAccuracy):
    """The mean calibrated score of the latest answers, plus the offset that all labels since the reference say it has.

    The offset is 0 at first and stays, or becomes another one; how often it does is learnt. Where scores stay honest this is `cbpe`, as
    steady as it; where they do not, labels of the past count as long as nothing changed again, which one window's (`ppi`) cannot.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    guarantee: ClassVar[str] = "none proven: a Bayesian interval; it lags behind a change until labels have shown it"
    assumption: ClassVar[str] = (
        "labels come for records like the latest ones, with known probabilities (their weights); the scores' offset stays what it was but "
        "for rare changes, or changes all the time"
    )
    cost: ClassVar[str] = "O(1) a record, O(60) a block of 25 labels; state of 1,000 records, 200 bins a class and 240 numbers"
    source: ClassVar[str] = "Adams & MacKay 2007, arXiv:0710.3742; Białek, Kivimäki, Kuberski & Perrakis 2024, arXiv:2401.08348"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("negative", "positive"))

    def start(self, reference: Reference) -> CorrectedState:
        """The calibrator of the labelled reference rows; the offset is 0, as exactly as so many rows can say."""
        calibration, usual = calibration_of(reference, self.labels), self.usual(reference.bound)
        return CorrectedState(
            chance=calibration.chance,
            labelled_n=calibration.n,
            usual=usual,
            correction=no_correction((usual * (1.0 - usual) + 0.25 / (calibration.n + 1.0)) / (calibration.n + 1.0)),
            block=np.zeros(6),
            pool=np.zeros(0),
        )

    def step(self, state: CorrectedState, data: Increment) -> tuple[CorrectedState, Verdict]:
        """One closed pane's records and newly labelled pairs."""
        f = self._chances(state, data.columns.get("output.scores"), data.columns.get("output.label"))
        state = replace(state, pool=np.concatenate([state.pool, f[np.isfinite(f)]])[-self.records_n :])
        if data.pairs.n and state.labelled_n:
            state = self._labelled(state, data.pairs)
        return state, self._told(state)

    def _labelled(self, state: CorrectedState, pairs: Pairs) -> CorrectedState:
        f = self._chances(state, pairs.scores, pairs.predicted)
        known = np.isfinite(f)
        f, w = f[known], (np.ones(pairs.n) if pairs.weight is None else pairs.weight)[known]
        r = 1.0 - pairs.loss[known] - f
        block = state.block + np.array([len(f), w.sum(), w @ r, w @ (r * r), w @ (f * (1.0 - f)), w @ w])
        state = replace(state, block=block, labels_n=state.labels_n + len(f))
        if block[0] < _BLOCK_N or block[1] <= 0.0:
            return state
        _, total, offset, squares, own, weights = block.tolist()
        offset /= total
        variance = max(squares / total - offset**2, own / total, 1e-6) * weights / total**2
        return replace(state, block=np.zeros(6), correction=corrected(state.correction, offset, variance))

    def _chances(self, state: CorrectedState, scores: Floats | None, answers: NDArray[np.object_] | None) -> Floats:
        """That each answer is right, (n,); NaN = not known. One that is none of the classes is wrong."""
        if scores is None or answers is None or scores.shape[1:] != (len(self.labels),):
            return np.zeros(0) if answers is None else np.full(len(answers), np.nan)
        answer = numbered(answers, self.labels)
        own = scores[np.arange(len(answer)), answer]
        chance = np.where(answer >= 0, state.chance[answer, bin_of(np.clip(np.nan_to_num(own), 0.0, 1.0))], 0.0)
        return np.where(np.isfinite(own), chance, np.nan)

    def _told(self, state: CorrectedState) -> Verdict:
        n, found, offset = len(state.pool), None, 0.0
        if n:
            offset, doubt = offset_of(state.correction)
            own = float((state.pool * (1.0 - state.pool)).sum()) / n**2
            found = normal_estimate(float(state.pool.mean()) + offset, doubt + own, alpha=self.alpha, n=state.labelled_n)
        by = f"by the scores of the last {n} answers and {state.labels_n} labels so far, which move it by {offset:+.3f}"
        return self.said(found, n=n, labelled_n=state.labelled_n, usual=state.usual, by=by, of_them="labelled reference rows with scores")
