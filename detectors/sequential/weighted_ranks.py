"""Conformal ranks among weighted reference rows and all production rows since, by the urn of `urn`.

Rows weigh w(x), how much more often production has such rows than the reference. A rank is a weighted conformal p-value [Tibshirani et al.
2019, arXiv:1904.06019; in martingales: Prinster et al. 2025, arXiv:2505.04608]; the weights are scaled to add up to the effective number of
rows, (sum w)^2 / sum w^2, against which each production row since counts as one: with equal weights these are the exact ranks of `urn`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from scipy.special import ndtri

from detectors.sequential.scores import SCORE_WEIGHTS, log_score_bets
from detectors.sequential.urn import cells_of, cells_of_reference, knots_of, urn_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


R = TypeVar("R", bound=Any)
_SHIFTS = np.array([0.2, 0.4, 0.8, 1.2])
RANK_WEIGHTS = np.concatenate([0.6 * SCORE_WEIGHTS, np.full(2 * len(_SHIFTS), 0.4 / (2 * len(_SHIFTS)))])
"""Of the stake on each of `log_rank_bets`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """Cells between the reference's scores, and what came since."""

    values: Floats
    keys: Floats
    rows: NDArray[np.int64]
    """Cell of each reference row, shape (n,)."""
    counts: Floats
    """Production rows since the start, shape (cells,)."""


def ranks_of(scores: Floats) -> Ranks:
    """Before any production row; `scores` of the reference rows, shape (n,), n >= 1."""
    knots = knots_of(scores)
    return Ranks(values=knots.values, keys=knots.keys, rows=cells_of_reference(scores), counts=np.zeros(len(knots.gaps)))


def ranked(ranks: Ranks, weight: Floats, scores: Floats, uniforms: Floats) -> tuple[Floats, Ranks]:
    """(logarithm of each bet on the production rows, shape (bets,); with these rows counted).

    `weight` of the reference rows (n,), `scores` (m,), `uniforms` (2, m). The bets: those of `scores`, and on a moved location by so much
    as is left of it when the rows since the start, all moved, have joined the n reference rows: a share n / (n + t) after t of them.
    """
    known_n = weight.sum() ** 2 / (weight @ weight)
    gaps = np.bincount(ranks.rows, weight * (known_n / weight.sum()), minlength=len(ranks.counts))
    gaps[-1] += 1.0
    cells = cells_of(ranks.values, ranks.keys, scores, uniforms[0])
    found, _ = urn_ranks(gaps + ranks.counts, cells, uniforms[1])
    counts = ranks.counts + np.bincount(cells, minlength=len(ranks.counts))
    return log_rank_bets(found, known_n, float(ranks.counts.sum())), replace(ranks, counts=counts)


def log_rank_bets(found: Floats, known_n: float, since_n: float) -> Floats:
    """Of ranks, shape (m,), among so many reference rows and so many rows since."""
    left = known_n / np.maximum(1.0, known_n + since_n + np.arange(len(found)))
    z = ndtri(np.clip(found, 1e-9, 1.0 - 1e-9))
    shifts = np.concatenate([_SHIFTS, -_SHIFTS])
    return np.concatenate([log_score_bets(found), shifts * (left @ z) - 0.5 * shifts**2 * (left @ left)])


def forgotten(ranks: R) -> R:
    """Without the production rows, of this or of `hour_ranks`."""
    return replace(ranks, counts=np.zeros_like(ranks.counts))
