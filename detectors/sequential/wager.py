"""What a witness that was learnt on the way wins by its hits, and how its detector says so: `text_witness` and those of `row_bets`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

from detectors.sequential.bets import NOTHING, is_reached, log10_mean, log_raise, restart
from detectors.sequential.purse import Purse, full_purse, spend
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.witness import WITNESSES_N, excess
from detectors.types import EDetectorValue, Outcome, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sequential.witness import Hits
    from detectors.types import EValue

    Floats = NDArray[np.float64]

LEAST_N = 32
"""Rows that are worth a new witness."""
_STAKES = np.array([0.1, 0.3, 0.6])


class Named(TypedDict):
    """What a verdict has of its detector."""

    detector: str
    subject: str
    alpha: float
    delta: float


class Wealth(NamedTuple):
    """Of the bets, 18 for two witnesses: six hits at three stakes."""

    log_m: Floats
    recent: Floats
    """Sums for the verdict's figures (see `recent`)."""
    purse: Purse


def no_wealth(hits_n: int = WITNESSES_N) -> Wealth:
    """Before any bet; `hits_n`: witnesses times cuts."""
    bets_n = hits_n * len(_STAKES)
    return Wealth(np.full(bets_n, NOTHING), no_sums(3 * hits_n), full_purse(bets_n))


def share_of_delta(delta: float, learnt_n: int) -> float:
    """6 delta / (pi^2 k^2) for the k-th learning: they sum to delta."""
    return 6.0 * delta / (math.pi**2 * learnt_n**2)


def log_hit_bets(found: Hits, n: int) -> Floats:
    """Logarithm of each bet on a pane's n rows, which the witness has not seen, shape (3 hits,).

    A bet: the rows are hit more often than the exact upper bound m from half B: (q/m)^hits ((1-q)/(1-m))^misses at three q.
    """
    is_open = (found.bound < 1.0)[:, None]  # a bound of 1 leaves nothing to bet on
    bound = np.where(is_open, found.bound[:, None], 0.5)
    return np.where(is_open, log_raise(n, found.hits[:, None], bound, bound + _STAKES * (1.0 - bound)), 0.0).ravel()


def wager(wealth: Wealth, found: Hits, n: int, *, alpha: float) -> Wealth:
    """A pane's n rows: M <- (M + 1) bet for each of `log_hit_bets`."""
    return settle(wealth, log_hit_bets(found, n), sums_of(found, n), n, alpha=alpha)


def sums_of(found: Hits, n: int) -> Floats:
    """What a verdict's figures are made of, shape (3 hits,)."""
    return np.concatenate([found.hits, n * found.expected, n * found.bound])


def settle(wealth: Wealth, log_bets: Floats, sums: Floats, n: int, *, alpha: float) -> Wealth:
    """One step of all bets: their logarithms on a pane's n rows, and the sums of these."""
    log_m = restart(wealth.log_m, log_bets, alpha=alpha)
    recent = add_sums(wealth.recent, n, sums, log10_e=log10_mean(log_m), alpha=alpha)
    return Wealth(log_m, recent, spend(wealth.purse, log_bets))


def said(
    wealth: Wealth, *, detector: str, subject: str, alpha: float, delta: float, moved: str, not_yet: str, e_value: EValue | None = None
) -> Verdict:
    """What the wealth says. `moved`: "texts differ from the reference"; `not_yet`: why nothing has been bet."""
    log10_e = log10_mean(wealth.log_m) if wealth.recent.any() else 0.0
    is_alarm = is_reached(log10_e, alpha)
    n, sums = latest(wealth.recent, is_alarm=is_alarm)
    value, low, high, figures = excess(n, sums)
    if n == 0:
        outcome, because = Outcome.INSUFFICIENT, not_yet
    elif is_alarm:
        outcome, because = Outcome.ALARM, f"{moved}: {figures}"
    else:
        outcome, because = Outcome.OK, f"no evidence that {moved}: {figures}"
    return Verdict(
        detector=detector,
        subject=subject,
        outcome=outcome,
        evidence=EDetectorValue(log10_e=log10_e, alpha=alpha, delta=delta),
        value=value,
        low=low,
        high=high,
        n=n,
        because=because,
        e_value=e_value,
    )


def why_not_yet(*, known_n: int, min_n: int, seen_n: int, rows: str, learner: str = "witness") -> str:
    """Too small a reference, or too few rows yet. `rows`: "texts"."""
    if known_n < min_n:
        return f"the reference has {known_n} {rows}, {min_n} are needed"
    return f"{seen_n} production {rows} so far; the {learner} learns from the first {LEAST_N}, then bets on the next pane"
