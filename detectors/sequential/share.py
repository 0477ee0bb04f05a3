"""What risk and the floors have in common: a bet that the share of errors among the pairs that count is above a limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import NOTHING, STAKES, log10_mean, log_raise, restart, targets_above
from detectors.sequential.interval import share_sequence
from detectors.sequential.recent import add_sums, latest, no_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NO_LIMIT = -1.0


@dataclass(frozen=True, kw_only=True)
class ShareState:
    """Wealth of each stake, and counts."""

    limit: float
    """The share that is still fine, in (0, 1); NO_LIMIT: none could be set."""
    bound_n: int
    """Reference pairs behind the limit; 0 when the limit is given by the user."""
    bound_value: float
    """The bound on the metric itself that the limit was made of (a loss, an F1, …)."""
    log_m: Floats
    n: int = 0
    errors_n: int = 0
    recent: Floats


def start_share(limit: float, *, bound_n: int, bound_value: float, is_restarting: bool) -> ShareState:
    """Before any pair: wealth 0 when restarting (e-detector), 1 for an e-process. A limit outside (0, 1) means none could be set."""
    return ShareState(
        limit=limit if 0.0 < limit < 1.0 else NO_LIMIT,
        bound_n=bound_n,
        bound_value=bound_value,
        log_m=np.full(len(STAKES), NOTHING if is_restarting else 0.0),
        recent=no_sums(1),
    )


def step_share(state: ShareState, errors: NDArray[np.bool_], *, restart_alpha: float | None) -> ShareState:
    """The pairs that count, shape (n,), True = error. `restart_alpha`: of an e-detector; None = an e-process."""
    return step_counts(state, len(errors), int(errors.sum()), restart_alpha=restart_alpha)


def step_counts(state: ShareState, n: int, k: int, *, restart_alpha: float | None) -> ShareState:
    """K errors among n that count: their order does not matter to a bet on a share."""
    if n == 0 or state.limit == NO_LIMIT:
        return state
    log_bet = log_raise(n, k, state.limit, targets_above(state.limit))
    log_m = state.log_m + log_bet if restart_alpha is None else restart(state.log_m, log_bet, alpha=restart_alpha)
    log_m = np.maximum(log_m, NOTHING)
    return replace(
        state,
        log_m=log_m,
        n=state.n + n,
        errors_n=state.errors_n + k,
        recent=add_sums(state.recent, n, np.array([float(k)]), log10_e=log10_mean(log_m), alpha=restart_alpha or 0.5),
    )


def recent_share(state: ShareState, *, is_alarm: bool) -> tuple[float, float, float, int]:
    """Error share of the latest pairs, its 95 % interval, and their number; (0, 0, 1, 0) without data."""
    n, sums = latest(state.recent, is_alarm=is_alarm)
    if n == 0:
        return 0.0, 0.0, 1.0, 0
    low, high = share_sequence(int(sums[0]), n, 0.05)
    return float(sums[0]) / n, low, high, n
