"""The mean quality of judged answers falls below its floor, by few people's judgements and a judge's score of all answers.

A person's judgement pays g = y - c (F - f): y is 1 less the quality, f the judge's score of that answer, F the mean score of a group of
answers of the same time, which no other judgement is compared with; c >= 0 is fitted on the judgements before it. As f and F have the same
mean, that of g is the loss's, whatever the judge is worth, and though he turns milder or blind. The better he is, the less g scatters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import NOTHING, STAKES
from detectors.sequential.prediction_groups import Groups, add_records, matched, no_groups
from detectors.sequential.purse import full_purse
from detectors.sequential.score_floor import ScoreFloor
from detectors.sequential.share import NO_LIMIT, ShareState, limits_at, raised, relative_weight
from detectors.types import Eats, Increment, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PRIOR_N = 100.0
"""Judgements as which the bound rows count for c."""
_CUT = 0.1
"""Of the bound rows' scores are cut off at either end: a bet may only be as large as the widest score allows."""
_PART = 0.75
"""Of the slope is used as c, for the same reason."""
BESIDE_STAKES = np.append(STAKES[1:], 0.95)
"""On g, which reaches further than y, so that its stakes are larger parts of the most."""


@dataclass(frozen=True, kw_only=True)
class PpiScoreFloorState:
    """What the judge's scores are cut to, what waits, and wealth."""

    low: float
    high: float
    """Scores are cut to these, in the judge's unit; equal: he is not read."""
    groups: Groups
    fit: Floats
    """Sums over earlier judgements: w, w y, w f, w y f, w f^2, (5,)."""
    share: ShareState
    """Limit, counts and wealth: of the stakes on y alone, then of those on g, (12,)."""


@register("ppi_score_floor")
@dataclass(frozen=True, kw_only=True)
class PpiScoreFloor(ScoreFloor):
    """Half of the evidence is by people alone, as in `score_floor`: never more than a factor of two behind it."""

    judge: str
    """Subject of the number that a judge (another model, say) gave each answer, more is better, in any unit: "input.judge"."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY, Eats.TABLE})
    assumption: ClassVar[str] = (
        "given the past, the mean loss is at most the limit; bound rows are independent draws no training saw; labels come for answers "
        "like those of the hour around them, with known probabilities (their weights). A labelled answer's score is also in another "
        "label's group: the two are nearly uncorrelated, not independent"
    )
    cost: ClassVar[str] = "O(12) a pair, O(1) a record; state of 40 numbers and at most 2,048 groups (32 KB)"
    source: ClassVar[str] = (
        "Csillag, Struchiner & Goedert 2025, Prediction-Powered E-Values, arXiv:2502.04294; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; "
        "Waudby-Smith & Ramdas 2024, arXiv:2010.09686"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.within is not None:
            raise ValueError(f"the judge's scores are of all answers, not of {self.within}; score_floor can be of a segment")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(judge="input.judge", minimum=0.7, alpha=0.01)

    @property
    def columns(self) -> tuple[str, ...]:
        """The judge's."""
        return (self.judge,)

    def start(self, reference: Reference) -> PpiScoreFloorState:  # type: ignore[override]  # more state than the floor's
        """As the floor on people alone; without bound rows that were scored the judge is not read, and it is that."""
        share, bound = super().start(reference), reference.bound
        score, loss = _scores(bound.columns.get(self.judge), bound.n), self.loss.of(bound, ())
        known = np.isfinite(score) & np.isfinite(loss)
        low, high, fit = 0.0, 0.0, np.zeros(5)
        if known.any():
            low, high = (float(x) for x in np.quantile(score[known], [_CUT, 1.0 - _CUT]))
            if low == high:  # nearly all alike: the rest is what he says
                low, high = float(score[known].min()), float(score[known].max())
            ones = np.ones(int(known.sum()))
            fit = _sums(ones, loss[known], np.clip(score[known], low, high)) * (_PRIOR_N / len(ones))
        log_m, purse = np.full(len(STAKES) + len(BESIDE_STAKES), NOTHING), full_purse(len(STAKES) + len(BESIDE_STAKES))
        return PpiScoreFloorState(low=low, high=high, groups=no_groups(), fit=fit, share=replace(share, log_m=log_m, purse=purse))

    def step(self, state: PpiScoreFloorState, data: Increment) -> tuple[PpiScoreFloorState, Verdict]:  # type: ignore[override]  # as above
        """One closed pane's answers and newly judged ones; a pane without a judgement is no step."""
        f = self._read(state, data.columns.get(self.judge), data.n)
        state = replace(state, groups=add_records(state.groups, f[np.isfinite(f)], data.start.timestamp()))
        y = self.loss.of(data.pairs, ())
        if np.isfinite(y).any() and state.share.limit != NO_LIMIT:
            state = self._bet(state, data.pairs.take(np.isfinite(y)), y[np.isfinite(y)], data.start)
        _, verdict = super().step(state.share, replace(data, pairs=Pairs.empty()))
        return state, verdict

    def _bet(self, state: PpiScoreFloorState, pairs: Pairs, y: Floats, start: datetime) -> PpiScoreFloorState:
        at = np.full(pairs.n, start.timestamp()) if pairs.at is None else pairs.at
        f = self._read(state, pairs.columns.get(self.judge), pairs.n)
        groups, g, reach = payoffs(state, y, f, at)
        weight, limits = relative_weight(pairs, self.most_weight), limits_at(state.share, pairs, start)
        w, limit = np.ones(pairs.n) if weight is None else weight, state.share.limit if limits is None else limits
        w = np.where(limit < 1.0, w, 0.0)
        alone = np.log1p(np.outer(STAKES, w * (y - limit) / limit)).sum(axis=1)
        log_bets = np.append(alone, np.log1p(np.outer(BESIDE_STAKES, w * (g - limit) / (limit + reach))).sum(axis=1))
        sums = np.array([w @ y] if limits is None else [w @ y, w @ limits])
        share = raised(state.share, float(w.sum()), sums, log_bets, restart_alpha=self.alpha)
        known = np.isfinite(f)
        return replace(state, groups=groups, fit=state.fit + _sums(w[known], y[known], f[known]), share=share)

    def _read(self, state: PpiScoreFloorState, scores: NDArray[np.float64] | NDArray[np.object_] | None, n: int) -> Floats:
        """The judge's scores as they are bet on, (n,); NaN = he gave none."""
        found = _scores(scores, n)
        return np.where(np.isfinite(found), np.clip(found, state.low, state.high), np.nan)


def payoffs(state: PpiScoreFloorState, y: Floats, f: Floats, at: Floats) -> tuple[Groups, Floats, float]:
    """(What groups are left, g, how far g may be below 0) of losses, scores and times of answers, each (n,). Without a group g is y."""
    groups, mean = matched(state.groups, at)
    c = _PART * _slope(state.fit)
    return groups, y - c * np.nan_to_num(mean - f), c * (state.high - state.low)


def _scores(values: NDArray[np.float64] | NDArray[np.object_] | None, n: int) -> Floats:
    return np.full(n, np.nan) if values is None else np.asarray(values, dtype=np.float64)


def _sums(w: Floats, y: Floats, f: Floats) -> Floats:
    return np.array([w.sum(), w @ y, w @ f, w @ (y * f), w @ (f * f)])


def _slope(fit: Floats) -> float:
    """By how much the loss falls as the score rises by one, at least 0."""
    n, y, f, yf, ff = fit.tolist()
    spread = ff - f * f / n if n else 0.0
    return max(0.0, -(yf - y * f / n) / spread) if spread > 1e-9 * max(ff, 1e-300) else 0.0
