"""The confidence of answers no longer says how often they are right: an e-detector.

With r = (1 if right) - confidence, the null is: in each of five bins of the confidence, and over all, the mean of r, given the past, is in
the interval that the bound rows gave (each end wrong with probability delta / 12, so all hold with 1 - delta), widened by a tolerance. For
each bin and side the bets prod 1 + s (r - u)/reach and prod 1 + s (l - r)/reach, with s of a fixed grid and reach the most that one r can
lose, have a mean of at most 1 under it; each starts anew at every pane (Shiryaev-Roberts), and their mean is an e-detector.

With a rhythm the null is of each hour of its own, where bound rows tell the hours' means of r apart (see `hour_levels`): a confidence that
does not know that nights are harder is no news every night. Intervals by hour have half of delta, that of all hours the other half.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.of_reference import of_reference
from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import NOTHING, STAKES, check_rates, is_reached, log10_mean, restart
from detectors.sequential.hour_levels import levels_of
from detectors.sequential.hour_limits import bound_hours, hours_of_pairs
from detectors.sequential.interval import share_sequence, upper_mean
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.share import relative_weight
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BINS_N = 5
_LEAST_N = 100
"""Bound rows with a confidence: fewer say nothing about five bins."""


@dataclass(frozen=True, kw_only=True)
class CalibrationState:
    """Intervals of the null, and wealth. Row b of an array of six: bin b; the last one: all."""

    edges: Floats
    """Of the confidence, (6,); empty = there is no null."""
    low: Floats
    """Lower end of the mean of r, (6,), the tolerance taken off."""
    high: Floats
    log_m: Floats
    """Wealth of (bin, side, stake), (72,)."""
    n: int = 0
    recent: Floats
    """Sums of (r + 1)/2 over the latest pairs."""
    hours_low: Floats = of_reference()
    """`low` of each hour, (hours, 6); (0, 6) = that of all; with hours `low` and `high` are the means over the bound rows."""
    hours_high: Floats = of_reference()


@register("calibration_change")
@dataclass(frozen=True, kw_only=True)
class CalibrationChange:
    """Bets on both sides of each bin's interval; the verdict's value is the recent mean of r: below 0 the model is too sure of itself."""

    alpha: float
    """1 / mean panes between false alarms."""
    labels: tuple[str, ...]
    """The classes, in the order of the scores."""
    delta: float = 0.01
    """Chance that one of the intervals fails; then the promise is void for the epoch."""
    tolerance: float = 0.02
    """So much further off is still no harm."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which hours may have intervals of their own."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with labels"
    assumption: ClassVar[str] = (
        "bound rows are independent draws no training saw; a label's chance to come does not depend on the error (with a rhythm: the mean "
        "of r at each hour is in the interval that bound rows of hours like it give)"
    )
    cost: ClassVar[str] = "O(24) a pair; state of 72 numbers"
    source: ClassVar[str] = "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; Waudby-Smith & Ramdas 2024, arXiv:2010.09686"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if not 0.0 <= self.tolerance < 1.0:
            raise ValueError(f"tolerance must be in [0, 1), got {self.tolerance}; 0.02 = two points of confidence are still no harm")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(alpha=0.01, labels=("not positive", "positive"), tolerance=0.02)

    @property
    def subject(self) -> str:
        """Of the answers' confidence."""
        return "calibration"

    def start(self, reference: Reference) -> CalibrationState:
        """Bins of equal size by the bound rows' confidences, and the interval of r in each; without enough rows INSUFFICIENT for good."""
        p, r, _, rows = self._residuals(reference.bound)
        size = 2 * (_BINS_N + 1) * len(STAKES)
        wealth = np.full(size, NOTHING)
        if len(p) < _LEAST_N:
            nothing, none = np.zeros(0), np.zeros((0, _BINS_N + 1))
            return CalibrationState(
                edges=nothing, low=nothing, high=nothing, log_m=wealth, recent=no_sums(1), hours_low=none, hours_high=none
            )
        edges = np.quantile(p, np.linspace(0.0, 1.0, _BINS_N + 1))
        edges[0], edges[-1] = 0.0, 1.0
        inside = _members(p, edges)
        timed = bound_hours(reference.bound, rows, self.rhythm)
        delta = self.delta if timed is None else self.delta / 2.0
        (low, high), none = _ends(r, inside, delta), np.zeros((0, _BINS_N + 1))
        lows, highs = none, none
        if timed is not None and (found := _ends_by_hour(r, inside, *timed, delta)) is not None:
            lows, highs, parts = found
            low, high = parts @ lows, parts @ highs
        low, high, lows, highs = low - self.tolerance, high + self.tolerance, lows - self.tolerance, highs + self.tolerance
        return CalibrationState(edges=edges, low=low, high=high, log_m=wealth, recent=no_sums(1), hours_low=lows, hours_high=highs)

    def step(self, state: CalibrationState, data: Increment) -> tuple[CalibrationState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without scores is no step."""
        p, r, weight, rows = self._residuals(data.pairs)
        if len(p) and len(state.edges):
            hours = hours_of_pairs(data.pairs, max(1, len(state.hours_low)), data.start)[rows]
            log_m = np.maximum(restart(state.log_m, _log_bets(state, hours, p, r, weight), alpha=self.alpha), NOTHING)
            sums = np.array([float((weight * (r + 1.0)).sum()) / 2.0])
            recent = add_sums(state.recent, float(weight.sum()), sums, log10_e=log10_mean(log_m), alpha=self.alpha)
            state = replace(state, log_m=log_m, n=state.n + len(p), recent=recent)
        log10_e = log10_mean(state.log_m) if state.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        n, sums = latest(state.recent, is_alarm=is_alarm)
        k = min(float(sums[0]), float(n))
        low, high = (2.0 * x - 1.0 for x in share_sequence(k, n, 0.05))
        value = 2.0 * k / n - 1.0 if n else 0.0
        outcome, because = self._says(state, n, value, is_alarm=is_alarm)
        evidence = EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=self.delta)
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=min(low, value),
            high=max(high, value),
            n=n,
            because=because,
        )

    def _residuals(self, pairs: Pairs) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
        """(confidence, right - confidence, weight over the most, which they are) of the pairs whose answer has a score."""
        if pairs.scores is None or not pairs.n:
            return np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
        place = {label: i for i, label in enumerate(self.labels)}
        at = np.asarray([place.get(label, -1) for label in pairs.predicted.tolist()], dtype=np.int64)
        p = np.where(at >= 0, pairs.scores[np.arange(pairs.n), at], np.nan)
        kept = np.isfinite(p)
        weight = relative_weight(pairs, self.most_weight)
        p = np.clip(p[kept], 0.0, 1.0)
        return p, (1.0 - pairs.loss[kept]) - p, np.ones(len(p)) if weight is None else weight[kept], np.flatnonzero(kept)

    def _says(self, state: CalibrationState, n: int, value: float, *, is_alarm: bool) -> tuple[Outcome, str]:
        if not len(state.edges):
            return Outcome.INSUFFICIENT, f"fewer than {_LEAST_N} labelled bound rows have scores"
        if n == 0:
            return Outcome.INSUFFICIENT, "no labelled records with scores yet"
        side = "less" if value < 0.0 else "more"
        figures = f"of the last {n} labelled answers {100 * abs(value):.1f} in a hundred {side} were right than their confidence says"
        if not is_alarm:
            return Outcome.OK, f"{figures}: no evidence of more than in the bound rows"
        b, is_too_sure = divmod(int(state.log_m.reshape(-1, len(STAKES)).max(axis=1).argmax()), 2)
        where = f"at confidences from {state.edges[b]:.2f} to {state.edges[b + 1]:.2f}" if b < _BINS_N else "over all"
        return Outcome.ALARM, f"{figures}: the model is too {'sure' if is_too_sure else 'unsure'} of itself, most of all {where}"


def _members(p: Floats, edges: Floats) -> list[NDArray[np.bool_]]:
    """Rows of each bin, and all rows."""
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, _BINS_N - 1)
    return [*(place == b for b in range(_BINS_N)), np.ones(len(p), dtype=np.bool_)]


def _ends(r: Floats, inside: list[NDArray[np.bool_]], delta: float) -> tuple[Floats, Floats]:
    """(lower, upper) end of the mean of r in each bin and over all, (6,); all hold with 1 - delta."""
    share = delta / (2 * (_BINS_N + 1))
    high = np.array([2.0 * upper_mean((r[rows] + 1.0) / 2.0, share) - 1.0 if rows.any() else 1.0 for rows in inside])
    low = np.array([1.0 - 2.0 * upper_mean((1.0 - r[rows]) / 2.0, share) if rows.any() else -1.0 for rows in inside])
    return low, high


def _ends_by_hour(
    r: Floats, inside: list[NDArray[np.bool_]], hours: NDArray[np.int64], hours_n: int, delta: float
) -> tuple[Floats, Floats, Floats] | None:
    """(lower, upper) end for each hour, (hours, 6), and the hour's share of the rows, (hours,); None: hours are not told apart.

    An interval over all holds its hour's own mean and a standard error, as limits do (see `hour_limits`); those of the bins move with it.
    """
    levels = levels_of((r + 1.0) / 2.0, hours, hours_n)
    if levels is None:
        return None
    ends = [_ends(r, [rows & one for rows in inside], delta / 2.0) for one in levels.rows]
    lows, highs = (np.array(of)[levels.is_harder.astype(np.int64)] for of in zip(*ends, strict=True))  # (hours, 6)
    mean, error = 2.0 * levels.mean - 1.0, 2.0 * levels.error
    lows -= np.maximum(0.0, np.where(levels.n > 0.0, lows[:, -1] - (mean - error), 0.0))[:, None]
    highs += np.maximum(0.0, np.where(levels.n > 0.0, mean + error - highs[:, -1], 0.0))[:, None]
    return np.maximum(lows, -1.0), np.minimum(highs, 1.0), levels.n / levels.n.sum()


def _log_bets(state: CalibrationState, hours: NDArray[np.int64], p: Floats, r: Floats, weight: Floats) -> Floats:
    """Of (bin, side, stake), (72,): side 0 bets on r above the interval, side 1 on r below it. `hours` of each pair, where they count."""
    bets = np.zeros((_BINS_N + 1, 2, len(STAKES)))
    least, most = np.append(state.edges[:-1], 0.0), np.append(state.edges[1:], 1.0)
    for b, rows in enumerate(_members(p, state.edges)):
        lower, upper = state.low[b], state.high[b]
        if len(state.hours_low):
            lower, upper = state.hours_low[hours[rows], b], state.hours_high[hours[rows], b]
        gains = (r[rows] - upper, lower - r[rows])
        reaches = (most[b] + upper, 1.0 - least[b] - lower)  # r is in [-p, 1 - p]
        for side, (gain, reach) in enumerate(zip(gains, reaches, strict=True)):
            stakes = STAKES[:, None] / np.where(reach > 0.0, reach, np.inf)  # none where nothing can be lost
            bets[b, side] = np.log1p(stakes * (weight[rows] * gain)).sum(axis=1)
    return bets.ravel()
