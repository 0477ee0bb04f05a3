"""Accuracy falls below its floor, by few labels and the scores of all records: the sequential form of `ppi`.

A labelled pair pays g = y - c (f - F): y is 1 if the answer was wrong, f what its score predicts, F the mean prediction of a group of
records of the same time, which no other pair is compared with; c is fitted on the pairs before it. As f and F have the same mean, that of
g is the error's, whatever the predictions are worth; the better they are, the less g scatters. Every pair is thus a bet of its own,
prod 1 + s w (g - m), and where the labels' chances differ (weights w) g stays unbiased, since w F - w f has mean 0 too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.performance.calibration import calibrate
from detectors.performance.scored import numbered, with_scores
from detectors.registry import register
from detectors.sequential.accuracy_floor import AccuracyFloor
from detectors.sequential.bets import NOTHING, STAKES
from detectors.sequential.prediction_groups import Groups, add_records, matched, no_groups
from detectors.sequential.purse import full_purse
from detectors.sequential.share import NO_LIMIT, ShareState, limits_at, raised, relative_weight
from detectors.sketches.score_bins import bin_of
from detectors.types import Eats, Increment, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PRIOR_N = 100.0
"""Pairs as which the bound rows count for c."""
_ALONE = 0.25
"""Of the evidence is by labels alone: large rises are seen by few labels, and sooner so."""


@dataclass(frozen=True, kw_only=True)
class PpiFloorState:
    """What predicts, what waits, and wealth."""

    chance: Floats
    """That an answer is wrong, by bin of its score, (bins,)."""
    reach: float
    """The largest less the smallest of these."""
    groups: Groups
    fit: Floats
    """Sums over earlier pairs: w, w y, w f, w y f, w f^2, (5,)."""
    share: ShareState
    """Limit, counts and wealth: of the stakes on y alone, then of those on g, (12,)."""


@register("ppi_floor")
@dataclass(frozen=True, kw_only=True)
class PpiFloor(AccuracyFloor):
    """A quarter of the evidence is by labels alone, as in `accuracy_floor`: never more than a factor of four behind it."""

    labels: tuple[str, ...]
    """The model's classes, in the order of the scores."""

    shares: ClassVar[Floats | None] = np.repeat([_ALONE, 1.0 - _ALONE], len(STAKES)) / len(STAKES)
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    assumption: ClassVar[str] = (
        "given the past, the chance of an error is at most the floor's; labels come for records like those of the hour around them, with "
        "known probabilities (their weights). A labelled record's prediction is also in another pair's group: at the best c the two are "
        "uncorrelated, not independent"
    )
    cost: ClassVar[str] = "O(12) a pair, O(1) a record; state of 400 numbers and at most 2,048 groups (32 KB)"
    source: ClassVar[str] = (
        "Csillag, Struchiner & Goedert 2025, Prediction-Powered E-Values, arXiv:2502.04294; Zrnic & Candès 2024, arXiv:2403.03208; "
        "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"
    )

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(labels=("not positive", "positive"), minimum=0.8, alpha=0.01)

    def start(self, reference: Reference) -> PpiFloorState:  # type: ignore[override]  # more state than the floor's
        """As the floor on labels alone; without bound rows with scores nothing is predicted, and it is that."""
        share = super().start(reference)
        rows = with_scores(reference.bound, self.labels)
        chance, fit = np.zeros(len(calibrate(np.empty((0, 1)), np.empty(0, dtype=np.int64)).chance[0])), np.zeros(5)
        if rows is not None and rows.scores is not None:
            confidence = np.take_along_axis(rows.scores, numbered(rows.predicted, self.labels)[:, None], axis=1)  # (n, 1)
            is_wrong = (rows.predicted != rows.label).astype(np.int64)  # class 0 = right, which a higher score makes likelier
            chance = 1.0 - calibrate(confidence, is_wrong, rows.weight).chance[0]
            fit = _sums(np.ones(rows.n), rows.loss, chance[bin_of(np.clip(confidence[:, 0], 0.0, 1.0))]) * (_PRIOR_N / rows.n)
        return PpiFloorState(
            chance=chance,
            reach=float(chance.max() - chance.min()),
            groups=no_groups(),
            fit=fit,
            share=replace(share, log_m=np.full(2 * len(STAKES), NOTHING), purse=full_purse(2 * len(STAKES))),
        )

    def step(self, state: PpiFloorState, data: Increment) -> tuple[PpiFloorState, Verdict]:  # type: ignore[override]  # more state than the floor's
        """One closed pane's records and newly labelled pairs; a pane without a pair is no step."""
        f = self._predicted(state, data.columns.get("output.scores"), data.columns.get("output.label"))
        groups = add_records(state.groups, f[np.isfinite(f)], data.start.timestamp())
        state = replace(state, groups=groups)
        if data.pairs.n and state.share.limit != NO_LIMIT:
            state = self._bet(state, data)
        return state, self._verdict(state.share)

    def _bet(self, state: PpiFloorState, data: Increment) -> PpiFloorState:
        pairs, limits = data.pairs, limits_at(state.share, data.pairs, data.start)
        at = np.full(pairs.n, data.start.timestamp()) if pairs.at is None else pairs.at
        y, f = pairs.loss, self._predicted(state, pairs.scores, pairs.predicted)
        groups, g = payoffs(state, y, f, at)
        weight = relative_weight(pairs, self.most_weight)
        w, limit = np.ones(pairs.n) if weight is None else weight, state.share.limit if limits is None else limits
        w = np.where(limit < 1.0, w, 0.0)
        gains = ((y - limit) / limit, (g - limit) / (limit + state.reach))  # each at least -1
        log_bets = np.concatenate([np.log1p(np.outer(STAKES, w * gain)).sum(axis=1) for gain in gains])
        sums = np.array([w @ y] if limits is None else [w @ y, w @ limits])
        share = raised(state.share, float(w.sum()), sums, log_bets, restart_alpha=self.alpha, shares=self.shares)
        known = np.isfinite(f)
        return replace(state, groups=groups, fit=state.fit + _sums(w[known], y[known], f[known]), share=share)

    def _predicted(self, state: PpiFloorState, scores: Floats | None, answers: NDArray[np.object_] | None) -> Floats:
        """The chance that each answer is wrong, (n,); NaN = it has no score."""
        if scores is None or answers is None:
            return np.full(0 if answers is None else len(answers), np.nan)
        numbers = numbered(answers, self.labels)
        found = np.where(numbers >= 0, scores[np.arange(len(numbers)), numbers], np.nan)
        return np.where(np.isfinite(found), state.chance[bin_of(np.clip(np.nan_to_num(found), 0.0, 1.0))], np.nan)


def payoffs(state: PpiFloorState, y: Floats, f: Floats, at: Floats) -> tuple[Groups, Floats]:
    """(What groups are left, g) of pairs: errors, predictions and times of their records, each (n,). Where there is no group g is y."""
    groups, mean = matched(state.groups, at)
    return groups, y - _slope(state.fit) * np.nan_to_num(f - mean)


def _sums(w: Floats, y: Floats, f: Floats) -> Floats:
    return np.array([w.sum(), w @ y, w @ f, w @ (y * f), w @ (f * f)])


def _slope(fit: Floats) -> float:
    """Of y on f, in [0, 1]; 0 where f says nothing."""
    n, y, f, yf, ff = fit.tolist()
    spread = ff - f * f / n if n else 0.0
    return min(1.0, max(0.0, (yf - y * f / n) / spread)) if spread > 1e-12 else 0.0  # noqa: PLR2004 (nothing but rounding)
