"""A witness that knows hours: it learns production against reference rows of the same hours, and bets against those of each hour alone.

Half B is held apart hour by hour. A record of hour h is bet to be hit more often than the bound from B's rows of h; the j-th pair (witness,
hour) that is bet on has the share 6 delta / (pi^2 j^2), so that hours which the witness never meets cost nothing. What a witness has learnt
depends on half A and past production only: however it learns, the bounds hold. That it learns from rows of the same hours is for its power:
otherwise it would learn what mornings are like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

import numpy as np

from detectors.of_reference import of_reference
from detectors.sequential.interval import upper_share
from detectors.sequential.purse import Purse
from detectors.sequential.timed_rows import TimedRows
from detectors.sequential.wager import LEAST_N, Named, Wealth, log_hit_bets, no_wealth, said, settle, share_of_delta, sums_of
from detectors.sequential.witness import POOLS_N, WITNESSES_N, Hits
from detectors.thinning import drawn_rows
from detectors.types import EValue, Outcome, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.rhythm import Rhythm
    from detectors.sequential.conformal_numeric import NumericState

    Floats = NDArray[np.float64]

R = TypeVar("R", bound=TimedRows)

Hitting = Callable[[R], "Floats"]
"""A witness: how many rows are above each of its cuts, shape (CUTS,)."""

MOST_N = 1 << 15
"""Reference rows that are read, drawn."""
LEAST_HELD_N = 20
"""Rows of half B that an hour must have to be bet on."""
_LEARN_N = 512
_STRIDE = 3
"""One row in so many of an hour is half A's."""
LEAST_ROWS_N = LEAST_HELD_N * _STRIDE // (_STRIDE - 1)
"""Reference rows of an hour with as many in half B."""


@dataclass(frozen=True, kw_only=True)
class HourState(Generic[R]):
    """What is kept of production, and the wealth of each bet. The reference's rows are not written: see `of_reference`."""

    learn: tuple[R, ...] = of_reference()
    """Half A, one for each hour."""
    hold: tuple[R, ...] = of_reference()
    """Half B."""
    reading: tuple[Any, ...] = of_reference()
    """What rows are made with."""
    pool: R
    """At most 512 production rows that the present witness learns from."""
    fresh: R
    """Rows since then, as many."""
    numbers: NDArray[np.int64]
    """Of each hour: the j of its bound by the present witness, 0 = not met yet."""
    bounds_n: int = 0
    """Bounds so far: the largest j."""
    n: int = 0
    """Production rows so far."""
    log_m: Floats = field(default_factory=lambda: no_wealth().log_m)
    recent: Floats = field(default_factory=lambda: no_wealth().recent)
    purse: Purse = field(default_factory=lambda: no_wealth().purse)
    distance: NumericState | None = None
    """Ranks of a figure that the reference alone fixes, where the detector has one."""

    @property
    def wealth(self) -> Wealth:
        """Of the bets."""
        return Wealth(self.log_m, self.recent, self.purse)


def start_by_hour(rows: R, hours_n: int, *, min_n: int, reading: tuple[Any, ...] = ()) -> HourState[R]:
    """Within each hour one reference row in three is half A's, the others are half B's; nothing of fewer than `min_n` with a time."""
    none = rows.take(np.empty(0, dtype=np.int64))
    rows = rows if (rows.hours >= 0).sum() >= min_n else none
    is_learnt = is_half_a(rows.hours)
    halves = [[rows.take(np.flatnonzero((rows.hours == hour) & half)) for hour in range(hours_n)] for half in (is_learnt, ~is_learnt)]
    return HourState(
        learn=tuple(halves[0]),
        hold=tuple(halves[1]),
        reading=reading,
        pool=none,
        fresh=none,
        numbers=np.zeros(hours_n, dtype=np.int64),
    )


def is_half_a(hours: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which reference rows of these hours are half A's: one in three of each hour, drawn as by `halves`, shape (n,)."""
    rng, found = np.random.default_rng(len(hours)), np.zeros(len(hours), dtype=np.bool_)
    for hour in np.unique(hours[hours >= 0]):
        rows = rng.permutation(np.flatnonzero(hours == hour))
        found[rows[: len(rows) - _held_n(len(rows))]] = True
    return found


def held_n(n: int) -> int:
    """Rows that half B has of an hour with n in the reference; 0 = too few to bet on."""
    found = _held_n(n)
    return found if found >= LEAST_HELD_N else 0


def _held_n(n: int) -> int:
    return n - math.ceil(n / _STRIDE)


def read_rows(n: int) -> NDArray[np.int64]:
    """Rows of a reference of n that are read."""
    return drawn_rows(n, MOST_N)


def held_to(state: HourState[R]) -> NDArray[np.bool_]:
    """Which hours are bet on, shape (hours,)."""
    return np.array([len(rows.hours) >= LEAST_HELD_N for rows in state.hold], dtype=np.bool_)


def step_by_hour(state: HourState[R], new: R, learn: Callable[[R, R], Hitting[R]], *, alpha: float, delta: float) -> HourState[R]:
    """One pane's rows: learn from what was before them, then bet on them. `learn`: (rows of half A, production rows) -> its witness."""
    if not len(new.hours) or not held_to(state).any():
        return state
    state = _learn_anew(state)
    drawn = [_matched(state, most) for most in POOLS_N]
    if all(pair is not None for pair in drawn):
        witnesses = [learn(*pair) for pair in drawn if pair is not None]
        state = _bet(state, new, witnesses, alpha=alpha, delta=delta)
    return replace(state, fresh=_latest(state.fresh, new), n=state.n + len(new.hours))


def _bet(state: HourState[R], new: R, witnesses: list[Hitting[R]], *, alpha: float, delta: float) -> HourState[R]:
    numbers, bounds_n, is_held = state.numbers.copy(), state.bounds_n, held_to(state)
    log_bets, sums, n = np.zeros_like(state.log_m), np.zeros(3 * WITNESSES_N), 0
    for hour in np.unique(new.hours[new.hours >= 0]).tolist():
        if not is_held[hour]:
            continue
        if not numbers[hour]:
            bounds_n += 1
            numbers[hour] = bounds_n
        mine, hold = new.take(np.flatnonzero(new.hours == hour)), state.hold[hour]
        found = _hits(witnesses, hold, mine, share_of_delta(delta, int(numbers[hour])))
        mine_n = len(mine.hours)
        log_bets += log_hit_bets(found, mine_n)
        sums += sums_of(found, mine_n)
        n += mine_n
    if not n:
        return state
    wealth = settle(state.wealth, log_bets, sums, n, alpha=alpha)
    return replace(state, numbers=numbers, bounds_n=bounds_n, **wealth._asdict())


def _hits(witnesses: list[Hitting[R]], hold: R, new: R, delta: float) -> Hits:
    """On half B's rows of an hour and on the new ones; all six bounds hold together with 1 - delta."""
    held_n = len(hold.hours)
    held, hits = (np.concatenate([hits_of(rows) for hits_of in witnesses]) for rows in (hold, new))
    return Hits(hits, held / held_n, upper_share(held, held_n, delta / WITNESSES_N))


def _learn_anew(state: HourState[R]) -> HourState[R]:
    """The pool takes in what came since, once that is worth a new witness."""
    if len(state.fresh.hours) < LEAST_N:
        return state
    nothing = state.fresh.take(np.empty(0, dtype=np.int64))
    return replace(state, pool=_latest(state.pool, state.fresh), fresh=nothing, numbers=np.zeros_like(state.numbers))


def _latest(before: R, after: R) -> R:
    """The newest rows that a witness may learn from."""
    both = before.then(after)
    n = len(both.hours)
    return both.take(np.arange(max(0, n - POOLS_N[-1]), n))


def _matched(state: HourState[R], most: int) -> tuple[R, R] | None:
    """(rows of half A, the last `most` of the pool), the first as much of each hour as the second; None = hardly any."""
    hours = state.pool.hours[-most:].astype(np.int64)
    known = np.array([len(rows.hours) for rows in state.learn])
    there = np.flatnonzero((hours >= 0) & (known[hours] > 0))  # what was never in the reference at its hour cannot be compared
    if len(there) < LEAST_N:
        return None
    counts = np.bincount(hours[there], minlength=len(known))
    wanted = np.minimum(known, np.ceil(_LEARN_N * counts / len(there))).astype(np.int64)
    parts = [state.learn[h].take(drawn_rows(int(known[h]), int(wanted[h]))) for h in np.flatnonzero(counts)]
    learn = parts[0]
    for part in parts[1:]:
        learn = learn.then(part)
    return learn, state.pool.take(there + len(state.pool.hours) - len(hours))


def said_by_hour(
    state: HourState[R], new: R, rhythm: Rhythm, rows: str, *, moved: str, e_value: EValue | None = None, **named: Unpack[Named]
) -> Verdict:
    """As `said`, after the pane `new`; at an hour that is not bet on nothing is said, unless it is in alarm. `rows`: "texts"."""
    is_held, what = held_to(state), f"reference {rows} {rhythm.words}"
    few = int((~is_held).sum())
    aside = f"; {few} of {rhythm.hours_n} hours have fewer than {LEAST_ROWS_N} reference {rows} and are not watched" if few else ""
    n = f"at least {LEAST_ROWS_N} {what} are needed"
    not_yet = f"{state.n} production {rows} so far; the witness learns from the first {LEAST_N}, then bets on the next pane{aside}"
    verdict = said(
        state.wealth,
        moved=f"{moved} {rhythm.words}",
        not_yet=not_yet if is_held.any() else n,
        e_value=e_value,
        **named,
    )
    hours = new.hours[new.hours >= 0]
    if verdict.outcome is Outcome.OK and len(new.hours) and not is_held[hours].any():
        return replace(verdict, outcome=Outcome.INSUFFICIENT, because=f"not at this hour: {n}")
    return replace(verdict, because=verdict.because + aside) if verdict.outcome is not Outcome.INSUFFICIENT else verdict
