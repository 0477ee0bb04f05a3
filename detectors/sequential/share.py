"""What risk, floors and ceilings have in common: a bet that the mean of losses in [0, 1] (a share of errors, say) is above a limit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import NOTHING, STAKES, log10_mean, log_raise, restart, targets_above
from detectors.sequential.hour_limits import HourLimits
from detectors.sequential.interval import share_sequence
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend
from detectors.sequential.recent import add_sums, latest_sums, no_sums

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.types import EValue, Pairs

    Floats = NDArray[np.float64]


NO_LIMIT = -1.0


@dataclass(frozen=True, kw_only=True)
class ShareState:
    """Wealth of each stake, and counts."""

    limit: float
    """The share that is still fine, in (0, 1); NO_LIMIT: none could be set. Of hours that each have their own: the bound rows' mean."""
    bound_n: int
    """Reference pairs behind the limit; 0 when the limit is given by the user."""
    bound_value: float
    """The bound on the metric itself that the limit was made of (a loss, an F1, …)."""
    log_m: Floats
    n: float = 0
    """Pairs that count; of uneven weights, the sum of these over the heaviest."""
    errors_n: float = 0
    """Errors among them, or the sum of their losses."""
    recent: Floats
    clip: float = 1.0
    """The largest loss, in its own unit: what the losses are divided by."""
    purse: Purse = field(default_factory=lambda: full_purse(len(STAKES)))
    """The e-process beside an e-detector: the same bets."""
    hours: HourLimits | None = None
    """The limit at each hour; None = one at all hours."""
    fine: float = 0.0
    """Sum of the limits of the pairs that counted, weighted as these; of hours that have one each."""

    def limit_of(self, *, is_alarm: bool) -> float:
        """The limit, of hours that have one each the mean over the latest pairs (see `recent_share`)."""
        if self.hours is None:
            return self.limit
        n, _, fine = latest_sums(self.recent, is_alarm=is_alarm).tolist()
        return fine / n if n else self.limit

    @property
    def hours_in_words(self) -> str:
        """How the limit goes on in a sentence."""
        return "" if self.hours is None else self.hours.words


def start_share(
    limit: float, *, bound_n: int, bound_value: float, is_restarting: bool, clip: float = 1.0, hours: HourLimits | None = None
) -> ShareState:
    """Before any pair: wealth 0 when restarting (e-detector), 1 for an e-process. A limit outside (0, 1) means none could be set."""
    limit = limit if hours is None else hours.mean
    return ShareState(
        limit=limit if 0.0 < limit < 1.0 else NO_LIMIT,
        bound_n=bound_n,
        bound_value=bound_value,
        log_m=np.full(len(STAKES), NOTHING if is_restarting else 0.0),
        recent=no_sums(1 if hours is None else 2),
        clip=clip,
        hours=hours,
    )


def step_share(state: ShareState, errors: NDArray[np.bool_], *, restart_alpha: float | None) -> ShareState:
    """The pairs that count, shape (n,), True = error. `restart_alpha`: of an e-detector; None = an e-process."""
    return step_counts(state, len(errors), int(errors.sum()), restart_alpha=restart_alpha)


def step_counts(state: ShareState, n: int, k: int, *, restart_alpha: float | None) -> ShareState:
    """K errors among n that count: their order does not matter to a bet on a share."""
    if n == 0 or state.limit == NO_LIMIT:
        return state
    return raised(state, n, np.array([float(k)]), log_raise(n, k, state.limit, targets_above(state.limit)), restart_alpha=restart_alpha)


def step_losses(
    state: ShareState, x: Floats, *, restart_alpha: float | None, weight: Floats | None = None, limits: Floats | None = None
) -> ShareState:
    """Losses x in [0, 1], shape (n,), with weights in (0, 1]: the bets prod 1 + s w (x - m) / m, s the stakes.

    Their mean is at most 1 while the (weighted) mean of x, given the past, is at most m. `limits`: an m for each, where hours have their
    own; those of 1 leave no room and do not count. O(6 n).
    """
    w, m = np.ones(len(x)) if weight is None else weight, state.limit if limits is None else limits
    if isinstance(m, np.ndarray):
        x, w, m = (values[m < 1.0] for values in (x, w, m))
    if not len(x) or state.limit == NO_LIMIT:
        return state
    log_bet = np.log1p(np.outer(STAKES, w * (x - m) / m)).sum(axis=1)
    sums = np.array([w @ x] if limits is None else [w @ x, w @ m])
    return raised(state, float(w.sum()), sums, log_bet, restart_alpha=restart_alpha)


def limits_at(state: ShareState, pairs: Pairs, start: datetime) -> Floats | None:
    """The limit of each pair of a pane that began at `start`, shape (n,); None = all have the state's."""
    return None if state.hours is None else state.hours.at(pairs, start)


def relative_weight(pairs: Pairs, most: float) -> Floats | None:
    """Weights over the most that one may be, in (0, 1], shape (n,); None = all are equal to it.

    A bet 1 + s w (x - m) has a mean of at most 1 while the mean over all records, sampled or not, is at most m. The heaviest weight must be
    fixed before the data; a heavier one counts as that.
    """
    if pairs.weight is None and most == 1.0:
        return None
    found = np.minimum(1.0, (np.ones(pairs.n) if pairs.weight is None else pairs.weight) / most)
    return None if bool((found == 1.0).all()) else found


def raised(
    state: ShareState, n: float, sums: Floats, log_bet: Floats, *, restart_alpha: float | None, shares: Floats | None = None
) -> ShareState:
    """After one bet of each stake (its logarithm, (stakes,)) on n trials.

    `sums`: of their errors or losses and, where hours have limits of their own, of these. `shares`: of the stakes; None = equal.
    """
    log_m = state.log_m + log_bet if restart_alpha is None else restart(state.log_m, log_bet, alpha=restart_alpha)
    log_m = np.maximum(log_m, NOTHING)
    return replace(
        state,
        log_m=log_m,
        purse=state.purse if restart_alpha is None else spend(state.purse, log_bet),
        n=state.n + n,
        errors_n=state.errors_n + float(sums[0]),
        fine=state.fine + float(sums[1:].sum()),
        recent=add_sums(state.recent, n, sums, log10_e=log10_mean(log_m, shares), alpha=restart_alpha or 0.5),
    )


def e_value_beside(state: ShareState, shares: Floats | None = None) -> EValue | None:
    """Of an e-detector: that the mean has been above the limit at some time of the epoch; None = there is no limit.

    `shares`: of the stakes; None = equal.
    """
    return None if state.limit == NO_LIMIT else e_value_of(state.purse, shares)


def recent_share(state: ShareState, *, is_alarm: bool) -> tuple[float, float, float, int]:
    """Error share (mean loss) of the latest pairs, its 95 % interval, and their number; (0, 0, 1, 0) without data."""
    n, k, *_ = latest_sums(state.recent, is_alarm=is_alarm).tolist()
    if n == 0:
        return 0.0, 0.0, 1.0, 0
    share = min(1.0, k / n)
    low, high = share_sequence(share * n, n, 0.05)
    return share, low, high, math.ceil(n)
