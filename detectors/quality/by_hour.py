"""A fault whose share follows the hours of a rhythm: what is fine at each hour, and one bet on all hours of a pane.

Hours have limits of their own where the reference's hours differ beyond chance, and one limit where they do not: of few rows an hour's
bound is wide (none of 41 rows: 17 %), and most columns come as complete by night as by day. Either bound has half of delta.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.of_reference import of_reference
from detectors.quality.fault import RiseState
from detectors.sequential.bets import log10_mean, log_raise, targets_above
from detectors.sequential.interval import upper_share
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.share import NO_LIMIT, raised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

LEVEL = 0.2
"""Of columns whose hours are alike so many get limits by hours, which are wider; a smaller one takes more rhythms for chance."""
_DRAWS_N = 199
_SEED = 20_261_130


@dataclass(frozen=True, kw_only=True, slots=True)
class ByHour(RiseState):
    """Of a column whose hours differ in the reference; `share.limit` is the mean of the limits over the reference's rows."""

    limits: Floats = of_reference()
    """What is fine at each hour, shape (hours,); NO_LIMIT: it is not bet on."""
    rows: Counts = of_reference()
    """Of the reference at each hour."""
    held: Floats = field(default_factory=lambda: no_sums(1))
    """Sums of the latest trials' limits, as `share.recent` has them of the faults."""

    def limit(self, *, is_alarm: bool) -> float:
        """Mean limit of the latest trials."""
        n, sums = latest(self.held, is_alarm=is_alarm)
        return float(sums[0]) / n if n else self.share.limit

    @property
    def hours(self) -> tuple[tuple[float, float], ...]:
        """(limit, part of the reference's rows) of the hours that have one."""
        chosen = self.limited
        return tuple(zip(self.limits[chosen].tolist(), (self.rows[chosen] / self.rows.sum()).tolist(), strict=True))

    @property
    def limited(self) -> NDArray[np.bool_]:
        """Which hours have a limit."""
        return np.asarray(self.limits != NO_LIMIT)


def counted(is_faulty: NDArray[np.bool_], hours: NDArray[np.int16], hours_n: int) -> tuple[Counts, Counts]:
    """(trials, faults) at each hour, of trials of these hours; -1 is none."""
    n, k = (np.bincount(hours[chosen & (hours >= 0)], minlength=hours_n) for chosen in (np.ones(len(hours), dtype=np.bool_), is_faulty))
    return n, k


def differ(n: Counts, k: Counts) -> bool:
    """Whether the shares k / n differ beyond chance: chi-square, against the same faults dealt to the rows at random.

    P(yes) <= LEVEL where all rows are alike: a permutation test, exact for any counts.
    """
    n, k = n[n > 0], k[n > 0]
    if not 0 < k.sum() < n.sum():
        return False
    expected = n * (k.sum() / n.sum())
    drawn = np.random.default_rng(_SEED).multivariate_hypergeometric(n, int(k.sum()), size=_DRAWS_N)
    found, others = (((counts - expected) ** 2 / n).sum(axis=-1) for counts in (k, drawn))
    return bool(1 + (others >= found - 1e-9).sum() <= LEVEL * (1 + _DRAWS_N))


def start_by_hour(state: RiseState, n: Counts, k: Counts, *, delta: float, tolerance: float) -> RiseState:
    """With limits by hours where these differ, else as it is. n reference rows at each hour, k of them faulty.

    All hours' bounds hold together with 1 - delta (Clopper & Pearson, Bonferroni).
    """
    if not differ(n, k):
        return state
    bounds = np.where(n > 0, upper_share(k, np.maximum(n, 1), delta / (n > 0).sum()), 1.0)
    limits = np.where(bounds + tolerance < 1.0, bounds + tolerance, NO_LIMIT)
    weights = n * (limits != NO_LIMIT)
    mean = float(weights @ limits / weights.sum()) if weights.any() else NO_LIMIT
    known = replace(state.known, bound=mean - tolerance if weights.any() else 1.0)
    return ByHour(known=known, share=replace(state.share, limit=mean, bound_value=known.bound), limits=limits, rows=n)


def step_by_hour(state: ByHour, n: Counts, k: Counts, *, alpha: float) -> ByHour:
    """A pane's n trials at each hour with k faults: M <- (M + 1) prod over hours of the bets that the hour's share is above its limit.

    Each factor has a mean of at most 1, given the past, while the share at its hour is at most the limit.
    """
    is_bet = state.limited & (n > 0)
    if not is_bet.any():
        return state
    trials, faults, limits = (x[is_bet].astype(np.float64)[:, None] for x in (n, k, state.limits))  # (hours, 1)
    log_bet = log_raise(trials, faults, limits, targets_above(limits)).sum(axis=0)
    all_n = float(trials.sum())
    share = raised(state.share, all_n, np.array([float(faults.sum())]), log_bet, restart_alpha=alpha)
    fine = np.array([float((trials * limits).sum())])
    return replace(state, share=share, held=add_sums(state.held, all_n, fine, log10_e=log10_mean(share.log_m), alpha=alpha))
