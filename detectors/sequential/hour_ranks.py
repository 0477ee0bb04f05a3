"""Conformal ranks within the hours of a rhythm: `weighted_ranks` with an urn for each hour.

Cells are fixed without the rows that are ranked, so that an hour may begin with any number of them, or none (see `loss_ranks`): among its
own records alone ranks are as exact, only that little is seen at first. Where the scores of an hour are exchangeable, and weights equal,
ranks are uniform and independent, whatever the hours have to do with each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.urn import urn_ranks
from detectors.sequential.weighted_ranks import RANK_WEIGHTS, Ranks, log_rank_bets, ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Hours = NDArray[np.int64]

_CELLS_N = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class HourRanks:
    """Cells of scores, and what came since in each at each hour."""

    edges: Floats
    """Where cells end, ascending, shape (cells - 1,)."""
    rows: NDArray[np.int64]
    """Cell of each reference row, shape (n,)."""
    hours: Hours
    """Its hour; -1 = not known: it is compared with nothing."""
    counts: Floats
    """Production rows since the start, shape (hours, cells)."""


def hour_ranks(scores: Floats, hours: Hours, hours_n: int, others: Floats) -> HourRanks:
    """Before any production row; `scores` and `hours` of the reference rows, (n,); `others`: scores like these, which fix the cells."""
    edges = np.unique(np.quantile(others, np.arange(1, _CELLS_N) / _CELLS_N))
    return HourRanks(edges=edges, rows=np.searchsorted(edges, scores), hours=hours, counts=np.zeros((hours_n, len(edges) + 1)))


def ranked_by_hour(ranks: HourRanks, weight: Floats, scores: Floats, hours: Hours, uniforms: Floats) -> tuple[Floats, HourRanks]:
    """(logarithm of each bet on production rows, shape (bets,); with these rows counted), as `weighted_ranks.ranked`.

    `weight` of the reference rows (n,), `scores` and `hours` (m,), `uniforms` (m,).
    """
    log_bets, counts, cells = np.zeros(len(RANK_WEIGHTS)), ranks.counts.copy(), np.searchsorted(ranks.edges, scores)
    for hour in np.unique(hours).tolist():
        here, known = hours == hour, ranks.hours == hour
        w = weight[known]
        known_n = float(w.sum() ** 2 / (w @ w)) if w.any() else 0.0
        urn = np.bincount(ranks.rows[known], w, minlength=counts.shape[1]) * (known_n / max(w.sum(), 1e-300))
        found, _ = urn_ranks(urn + counts[hour], cells[here], uniforms[here], own=1.0)
        log_bets = log_bets + log_rank_bets(found, known_n, float(counts[hour].sum()))
        counts[hour] += np.bincount(cells[here], minlength=counts.shape[1])
    return log_bets, replace(ranks, counts=counts)


def ranked_within(
    ranks: Ranks | HourRanks, weight: Floats, scores: Floats, hours: Hours, uniforms: Floats
) -> tuple[Floats, Ranks | HourRanks]:
    """Of either kind of ranks: by `hours`, which are of a rhythm, or all alike; `uniforms` (2, m)."""
    if isinstance(ranks, HourRanks):
        return ranked_by_hour(ranks, weight, scores, hours, uniforms[1])
    return ranked(ranks, weight, scores, uniforms)


def mix_weights(hours: Hours, wanted: Hours) -> Floats:
    """Of rows of these hours, shape (n,), so that hours weigh as often as they come in others, (m,); all 1 where none is in both."""
    n, m = (np.bincount(of[of >= 0], minlength=1 + max(hours.max(initial=0), wanted.max(initial=0))) for of in (hours, wanted))
    found = np.where(hours >= 0, m[hours] / np.maximum(n[hours], 1), 0.0)
    return found if found.any() else np.ones(len(hours))
