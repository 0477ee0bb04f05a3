"""Losses ranked among bound rows and all before them, and what bets on a rise win by these ranks: the fold behind `risk_rise`.

What came during a rise leaves that past when it is over (see `way_back`): else a second rise is compared with the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import NOTHING, check_bets, is_reached, log10_mean, restart
from detectors.sequential.loss_cells import cell_values, cells_of
from detectors.sequential.purse import Purse, full_purse, spend
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, no_sums
from detectors.sequential.rise_bets import RISE_WEIGHTS, log_rise_bets
from detectors.sequential.share import relative_weight
from detectors.sequential.urn import urn_ranks
from detectors.sequential.way_back import looked_back, set_aside

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.sequential.loss import Loss
    from detectors.types import Pairs

    Floats = NDArray[np.float64]


_REST = 2
"""Rest lasts twice as far as elsewhere, half of the way to an alarm in logs: bets that are worth one in quiet times wander up to there."""


@dataclass(frozen=True, kw_only=True)
class LossUrn:
    """The losses so far (see `urn`)."""

    weights: Floats
    """Bound rows and labelled records in each cell (see `loss_cells`), shape (cells,)."""
    aside: NDArray[np.int64] | None = None
    """Of them the records since the evidence last rested, and all of a rise that is on (see `way_back`)."""

    @property
    def before(self) -> Floats:
        """Those from before that, shape (cells,)."""
        return self.weights if self.aside is None else np.asarray(self.weights - self.aside, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class RiseState:
    """The losses so far, and the wealth of each bet."""

    hours: tuple[LossUrn, ...]
    """One: all hours are compared alike."""
    bound_n: int
    recent: Floats
    """Losses in each cell (see `recent`)."""
    n: int = 0
    """Labelled records that counted so far."""
    log_m: Floats = field(default_factory=lambda: np.full(len(RISE_WEIGHTS), NOTHING))
    purse: Purse = field(default_factory=lambda: full_purse(len(RISE_WEIGHTS)))
    step_n: int = 0
    gained: float = 0.0
    """What ties are held back by (see `ties`): of losses nothing, the tolerance does."""
    log_back: float | None = None
    """That a rise is over (see `way_back`)."""

    def __post_init__(self) -> None:
        check_bets(self.log_m, RISE_WEIGHTS)

    @property
    def log10_e(self) -> float:
        """The evidence; 0 before any label."""
        return log10_mean(self.log_m, RISE_WEIGHTS) if self.step_n else 0.0

    @property
    def before(self) -> Floats:
        """Bound rows and labelled records from before a rise, or from before the evidence last rested, in each cell."""
        return np.asarray(sum(urn.before for urn in self.hours), dtype=np.float64)


def start_rise(bound: Pairs, loss: Loss) -> RiseState:
    """The bound rows' losses; without any it begins with the past alone."""
    found = loss.of(bound, ())
    found, values = found[np.isfinite(found)], cell_values(loss)
    counts = np.bincount(cells_of(values, found), minlength=len(values)).astype(np.float64)
    return RiseState(hours=(LossUrn(weights=counts),), bound_n=len(found), recent=no_sums(len(values)))


def step_rise(state: RiseState, pairs: Pairs, loss: Loss, *, start: datetime, alpha: float, most_weight: float, of: str) -> RiseState:
    """The newly labelled pairs of the pane that began at `start`; one without any is no step.

    `of` names who ranks (see `rank_uniforms`). Of unequal weights a pair is kept with chance weight / most_weight: then all records had the
    same chance to be here.
    """
    found, weight = loss.of(pairs, ()), relative_weight(pairs, most_weight)
    for_rank, for_weight = rank_uniforms(start, state.step_n, len(found), of=of)
    here = np.isfinite(found) if weight is None else np.isfinite(found) & (for_weight < weight)
    cells = cells_of(cell_values(loss), found[here])
    if not len(cells):
        return state
    if state.log_back is not None:
        state = looked_back(state, {0: cells}, alpha)
    (urn,) = state.hours
    ranks, weights = urn_ranks(urn.weights, cells, for_rank[here], own=1.0)
    log_bets = log_rise_bets(ranks).sum(axis=0)
    log_m = restart(state.log_m, log_bets, alpha=alpha)
    log10_e = log10_mean(log_m, RISE_WEIGHTS)
    recent = add_sums(state.recent, len(cells), weights - urn.weights, log10_e=log10_e, alpha=alpha**_REST)
    after = replace(
        state,
        hours=(replace(urn, weights=weights),),
        n=state.n + len(cells),
        log_m=log_m,
        recent=recent,
        purse=spend(state.purse, log_bets),
        step_n=state.step_n + 1,
    )
    return set_aside(state, after, is_alarm=is_reached(log10_e, alpha))
