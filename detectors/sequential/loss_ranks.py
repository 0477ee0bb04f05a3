"""Losses ranked among bound rows and all before them, and what bets on a rise win by these ranks: the fold behind `risk_rise`.

What came during a rise leaves that past when it is over (see `way_back`): else a second rise is compared with the first.

With a rhythm a loss is ranked among those of its own hour: where the losses of one hour are exchangeable, ranks within it are uniform and
independent, whatever the hours have to do with each other (see `rhythm`). As cells are fixed beforehand an hour may begin with any bound
rows or none: with few it learns from its own labels what is usual, and until then sees little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.rhythm import Rhythm, rows_by_hour
from detectors.sequential.bets import is_reached, log10_mean, restart
from detectors.sequential.loss_cells import cell_values, cells_of
from detectors.sequential.purse import spend
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, no_sums
from detectors.sequential.rise_bets import RISE_WEIGHTS, log_rise_bets
from detectors.sequential.rise_state import LossUrn, RiseState, hours_in_sums, told_apart
from detectors.sequential.share import relative_weight
from detectors.sequential.urn import urn_ranks
from detectors.sequential.way_back import looked_back, set_aside
from detectors.sketches.records import AT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.sequential.loss import Loss
    from detectors.types import Pairs

    Floats = NDArray[np.float64]
    Cells = NDArray[np.int64]


_REST = 2
"""Rest lasts twice as far as elsewhere, half of the way to an alarm in logs: bets that are worth one in quiet times wander up to there."""


def start_rise(bound: Pairs, loss: Loss, rhythm: Rhythm = Rhythm.NONE) -> RiseState:
    """The bound rows' losses; without any it begins with the past alone.

    With a rhythm rows without a time are left out, if some have one.
    """
    found = loss.of(bound, ())
    here, values = np.isfinite(found), cell_values(loss)
    timed_n = 0 if bound.at is None else int(np.isfinite(bound.at[here]).sum())
    rhythm = told_apart(rhythm, int(here.sum()), timed_n)
    parts = dict(_by_hour(bound.take(here), rhythm, None))
    cells = cells_of(values, found[here])
    known = np.unique(cells[np.concatenate([*parts.values()])]) if parts else cells[:0]
    urns = np.zeros((rhythm.hours_n, len(known)))
    for hour, rows in parts.items():
        urns[hour] = np.bincount(np.searchsorted(known, cells[rows]), minlength=len(known))
    return RiseState(
        cells=known,
        hours=tuple(LossUrn(weights=urn) for urn in urns),
        bound_n=int(urns.sum()),
        recent=no_sums(len(values) + hours_in_sums(rhythm.hours_n)),
    )


def _by_hour(pairs: Pairs, rhythm: Rhythm, otherwise: float | None) -> Iterator[tuple[int, Cells]]:
    """(hour, its pairs in their order); `otherwise`: the time of those that carry none."""
    return rows_by_hour({} if pairs.at is None else {AT: pairs.at}, pairs.n, rhythm, otherwise=otherwise)


def step_rise(
    state: RiseState,
    pairs: Pairs,
    loss: Loss,
    *,
    start: datetime,
    alpha: float,
    most_weight: float,
    of: str,
    rhythm: Rhythm = Rhythm.NONE,
) -> RiseState:
    """The newly labelled pairs of the pane that began at `start`; one without any is no step.

    `of` names who ranks (see `rank_uniforms`). Of unequal weights a pair is kept with chance weight / most_weight: then all records had the
    same chance to be here.
    """
    found, weight = loss.of(pairs, ()), relative_weight(pairs, most_weight)
    for_rank, for_weight = rank_uniforms(start, state.step_n, len(found), of=of)
    here = np.isfinite(found) if weight is None else np.isfinite(found) & (for_weight < weight)
    cells, uniforms = cells_of(cell_values(loss), found[here]), for_rank[here]
    parts = dict(_by_hour(pairs.take(here), state.told_apart(rhythm), start.timestamp()))
    if not any(map(len, parts.values())):
        return state
    state = state.met(cells)
    at = np.searchsorted(state.cells, cells)
    if state.log_back is not None:
        state = looked_back(state, {hour: at[rows] for hour, rows in parts.items()}, alpha)
    hours, ranks = list(state.hours), []
    for hour, rows in parts.items():
        exact, weights = urn_ranks(hours[hour].weights, at[rows], uniforms[rows], own=1.0)
        hours[hour] = replace(hours[hour], weights=weights)
        ranks.append(exact)
    after = _bet(replace(state, hours=tuple(hours)), np.concatenate(ranks), _sums(state, cells, parts), alpha)
    return set_aside(state, after, is_alarm=is_reached(after.log10_e, alpha), log10_e=after.log10_e, alpha=alpha)


def _sums(state: RiseState, cells: Cells, parts: Mapping[int, Cells]) -> Floats:
    """Of a pane for `recent`: losses in each cell and, with a rhythm, records of each hour."""
    of_hours = [float(len(parts.get(hour, ()))) for hour in range(hours_in_sums(len(state.hours)))]
    return np.concatenate([np.bincount(cells[np.concatenate([*parts.values()])], minlength=state.cells_n), of_hours])


def _bet(state: RiseState, ranks: Floats, sums: Floats, alpha: float) -> RiseState:
    log_bets = log_rise_bets(ranks).sum(axis=0)
    log_m = restart(state.log_m, log_bets, alpha=alpha)
    recent = add_sums(state.recent, len(ranks), sums, log10_e=log10_mean(log_m, RISE_WEIGHTS), alpha=alpha**_REST)
    n, purse = state.n + len(ranks), spend(state.purse, log_bets)
    return replace(state, n=n, log_m=log_m, recent=recent, purse=purse, step_n=state.step_n + 1)
