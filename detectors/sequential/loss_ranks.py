"""Losses ranked among bound rows and all before them, and what bets on a rise win by these ranks: the fold behind `risk_rise`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import NOTHING, check_bets, log10_mean, restart
from detectors.sequential.loss_cells import cell_values, cells_of
from detectors.sequential.purse import Purse, full_purse, spend
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, no_sums
from detectors.sequential.rise_bets import RISE_WEIGHTS, log_rise_bets
from detectors.sequential.share import relative_weight
from detectors.sequential.urn import urn_ranks

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.sequential.loss import Loss
    from detectors.types import Pairs

    Floats = NDArray[np.float64]


_REST = 2
"""Rest lasts twice as far as elsewhere, half of the way to an alarm in logs: bets that are worth one in quiet times wander up to there."""


@dataclass(frozen=True, kw_only=True)
class RiseState:
    """The losses so far (see `loss_cells`), and the wealth of each bet."""

    counts: Floats
    """Of bound rows and labelled records in each cell: the urn."""
    bound_n: int
    recent: Floats
    """Losses in each cell (see `recent`)."""
    log_m: Floats = field(default_factory=lambda: np.full(len(RISE_WEIGHTS), NOTHING))
    purse: Purse = field(default_factory=lambda: full_purse(len(RISE_WEIGHTS)))
    step_n: int = 0

    def __post_init__(self) -> None:
        check_bets(self.log_m, RISE_WEIGHTS)

    @property
    def n(self) -> int:
        """Labelled records that counted so far."""
        return int(self.counts.sum()) - self.bound_n

    @property
    def log10_e(self) -> float:
        """The evidence; 0 before any label."""
        return log10_mean(self.log_m, RISE_WEIGHTS) if self.step_n else 0.0

    @property
    def before(self) -> Floats:
        """Bound rows and labelled records from before the evidence last rested, in each cell."""
        return np.asarray(self.counts - self.recent[2, 1:], dtype=np.float64)


def start_rise(bound: Pairs, loss: Loss) -> RiseState:
    """The bound rows' losses; without any it begins with the past alone."""
    found = loss.of(bound, ())
    found, values = found[np.isfinite(found)], cell_values(loss)
    counts = np.bincount(cells_of(values, found), minlength=len(values)).astype(np.float64)
    return RiseState(counts=counts, bound_n=len(found), recent=no_sums(len(values)))


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
    ranks, counts = urn_ranks(state.counts, cells, for_rank[here], own=1.0)
    log_bets = log_rise_bets(ranks).sum(axis=0)
    log_m = restart(state.log_m, log_bets, alpha=alpha)
    log10_e = log10_mean(log_m, RISE_WEIGHTS)
    recent = add_sums(state.recent, len(cells), counts - state.counts, log10_e=log10_e, alpha=alpha**_REST)
    return replace(state, counts=counts, log_m=log_m, recent=recent, purse=spend(state.purse, log_bets), step_n=state.step_n + 1)
