"""How much more often production has rows like those of a reference: weights that stay 1 until a classifier has proven that inputs moved.

Until then a conformal rank is exact; from then on it is as good as the weights. The proof is an e-detector of its own: half its stake on a
classifier's hits, as in `row_bets`, half on what the caller bets on (ranks of the inputs' own score, which need no learning).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import is_reached, log10_mean, restart
from detectors.sequential.hour_ranks import mix_weights
from detectors.sequential.interval import upper_share
from detectors.sequential.logistic import LinearWitness, apart, learn_linear, logits
from detectors.sequential.row_bets import latest_rows
from detectors.sequential.wager import LEAST_N, log_hit_bets, no_wealth, share_of_delta
from detectors.sequential.witness import POOLS_N, WITNESSES_N, Hits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sequential.error_table import ErrorTable

    Floats = NDArray[np.float64]
    Codes = NDArray[np.uint8]
    Hours = NDArray[np.int64]

NO_HOURS = np.zeros(0, dtype=np.int64)
_MOST_WEIGHT = 20.0
_REST, _MOVING = 0.1, 1.0 / 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reweighting:
    """The weights of half B, and what they are learnt from."""

    weight: Floats
    """Of each row of half B, shape (n,)."""
    pool: Codes
    """At most 512 production rows that the present classifier learnt from, and those since."""
    fresh: Codes
    coefficients: Floats
    """Of the two classifiers (see `LinearWitness`), shape (pools, features + 1)."""
    cuts: Floats
    held: Floats
    """How many rows of half B each classifier and cut hits, shape (WITNESSES_N,)."""
    log_m: Floats
    learnt_n: int = 0
    is_open: bool = False
    """Whether inputs are proven to have moved, so that the weights are in use."""
    is_moving: bool = False
    """Whether the evidence for that is above a third of its limit (of its logarithm), and not proof."""
    moving_n: int = 0
    """Rows since the evidence that they moved last rested: probably those since they did."""
    since_n: int = 0
    """Rows since the weights are in use."""
    renewed_n: int = 0
    """`since_n` when the weights were last so much better known that what was bet on the old ones is void: doubled, or 512 rows more."""
    learn_hours: Hours = field(default_factory=lambda: NO_HOURS)
    """With a rhythm the hour of each row of half A, (rows,), -1 = not known; else none. Weights then compare rows of the same hours, and
    inputs are proven to have moved by the caller's ranks alone: hits by hour would have few rows of half B to be bounded by."""
    pool_hours: Hours = field(default_factory=lambda: NO_HOURS)
    """Of `pool` and `fresh`, likewise."""
    fresh_hours: Hours = field(default_factory=lambda: NO_HOURS)


def no_weights(table: ErrorTable, learn_hours: Hours = NO_HOURS) -> Reweighting:
    """All 1."""
    none = table.learn[:0]
    nothing = np.empty((0, 0))
    weight, log_m = np.ones(len(table.hold)), no_wealth().log_m
    return Reweighting(
        weight=weight, pool=none, fresh=none, coefficients=nothing, cuts=nothing, held=np.empty(0), log_m=log_m, learn_hours=learn_hours
    )


def relearnt(state: Reweighting, table: ErrorTable) -> Reweighting:
    """Before a pane: learn anew from what came since, where that is worth it."""
    if len(state.fresh) < LEAST_N or (len(state.learn_hours) and not state.is_open):
        return state
    pool, hours = latest_rows(state.pool, state.fresh), latest_rows(state.pool_hours, state.fresh_hours)
    learn, now = table.features(table.learn), table.features(pool)
    state = replace(state, pool=pool, fresh=pool[:0], learnt_n=state.learnt_n + 1, pool_hours=hours, fresh_hours=hours[:0])
    if state.is_open:
        is_better = state.since_n - state.renewed_n >= min(POOLS_N[-1], max(LEAST_N, state.renewed_n))
        return replace(state, weight=_weight(table, learn, now, _alike(state)), renewed_n=state.since_n if is_better else state.renewed_n)
    witness = learn_linear(learn, now)
    held = witness.hits(table.features(table.hold))
    return replace(state, coefficients=witness.coefficients, cuts=witness.cuts, held=held)


def watched(state: Reweighting, rows: Floats, log10_own: float, *, alpha: float, delta: float) -> Reweighting:
    """Have inputs moved? Rows of a pane, shape (n, features), which nothing has learnt from; `log10_own`: the caller's evidence.

    `is_open` from when the mean of both e-detectors is 1/alpha: while nothing moves, after a mean of at least (1 - delta)/alpha panes.
    """
    if state.learnt_n:
        hits, hold_n = LinearWitness(state.coefficients, state.cuts).hits(rows), len(state.weight)
        bound = upper_share(state.held, hold_n, share_of_delta(delta, state.learnt_n) / WITNESSES_N)
        found = Hits(hits, state.held / hold_n, bound)
        state = replace(state, log_m=restart(state.log_m, log_hit_bets(found, len(rows)), alpha=alpha))
    log10_e = log10_mean(np.array([log10_mean(state.log_m), log10_own]) * np.log(10.0))
    moving_n = 0 if log10_e <= -_REST * np.log10(alpha) else state.moving_n + len(rows)
    is_open = is_reached(log10_e, alpha)
    is_moving = not is_open and bool(log10_e > -_MOVING * np.log10(alpha))
    return replace(state, is_open=is_open, is_moving=is_moving, moving_n=moving_n)


def taken(state: Reweighting, codes: Codes, hours: Hours = NO_HOURS) -> Reweighting:
    """A pane's rows, to be learnt from later; `hours` of a rhythm."""
    since_n = state.since_n + len(codes) if state.is_open else 0
    return replace(state, fresh=latest_rows(state.fresh, codes), since_n=since_n, fresh_hours=latest_rows(state.fresh_hours, hours))


def opened(state: Reweighting, table: ErrorTable, codes: Codes, hours: Hours = NO_HOURS) -> Reweighting:
    """The first weights: from the rows that probably moved, those of the pane that gave the proof the last of them."""
    latest = slice(-max(LEAST_N, state.moving_n), None)
    pool, of = latest_rows(state.pool, state.fresh, codes)[latest], latest_rows(state.pool_hours, state.fresh_hours, hours)[latest]
    state = replace(state, pool=pool, fresh=pool[:0], pool_hours=of, fresh_hours=of[:0])
    weight = _weight(table, table.features(table.learn), table.features(pool), _alike(state))
    return replace(state, weight=weight, coefficients=np.empty((0, 0)), cuts=np.empty((0, 0)))


def effective_n(weight: Floats) -> float:
    """(sum w)^2 / sum w^2: so many equally weighted rows know as much."""
    return float(weight.sum() ** 2 / (weight @ weight))


def _alike(state: Reweighting) -> Floats | None:
    """With a rhythm: how much half A's rows count, so that they are of the pool's hours."""
    return mix_weights(state.learn_hours, state.pool_hours) if len(state.learn_hours) else None


def _weight(table: ErrorTable, learn: Floats, now: Floats, alike: Floats | None) -> Floats:
    """Density ratio of half B's rows by the classifier, at most 20; `alike`: of each row of half A (see `_alike`)."""
    logit = logits(apart(learn, now, alike), table.features(table.hold))
    return np.asarray(np.exp(np.minimum(logit, np.log(_MOST_WEIGHT))), dtype=np.float64)
