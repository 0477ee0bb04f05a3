"""Where a figure stands among those that its input leads to expect: distribution regression.

At seven cuts a logistic regression tells P(figure <= cut | input); between two cuts ranks among the rows that it was learnt from do. Spread
and skewness may depend on the input as the mean does, and a figure may be 0 or 1, a grade of five or any number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from detectors.sequential.logistic import fit, logits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CUTS_N = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """What was learnt."""

    cuts: Floats
    """Ascending, shape (k,), k <= 7; the largest figure of the rows is none of them."""
    coefficients: Floats
    """Of P(figure <= cut), shape (k, features + 1)."""
    known: Floats
    """Figures of the rows, ascending, shape (n,)."""


def ladder_of(rows: Floats, figures: Floats) -> Ladder:
    """Learnt from rows (n, features) and their figures (n,), n >= 1. Cost: k logistic regressions."""
    known = np.sort(figures)
    ranks = np.arange(1, _CUTS_N + 1) / (_CUTS_N + 1)
    cuts = np.unique(np.quantile(known, ranks, method="lower"))
    cuts = cuts[cuts < known[-1]]
    weight = np.ones(len(rows))
    found = [fit(rows, figures <= cut, weight) for cut in cuts]
    return Ladder(cuts=cuts, coefficients=np.array(found).reshape(len(cuts), rows.shape[1] + 1), known=known)


def expected_rank(ladder: Ladder, rows: Floats, figures: Floats, uniforms: Floats) -> Floats:
    """Of each figure, shape (m,), in (0, 1): uniform, whatever the inputs, while what was learnt is right. `uniforms` (m,) part ties."""
    below = np.column_stack([expit(logits(b, rows)) for b in ladder.coefficients]) if len(ladder.cuts) else np.empty((len(rows), 0))
    edges = np.pad(np.maximum.accumulate(below, axis=1), ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, 1.0)))  # (m, k + 2)
    cell, i = np.searchsorted(ladder.cuts, figures, side="left"), np.arange(len(rows))
    ends = np.concatenate([[0], np.searchsorted(ladder.known, ladder.cuts, side="right"), [len(ladder.known)]])
    less, more = (np.searchsorted(ladder.known, figures, side=side) for side in ("left", "right"))
    place = (less - ends[cell] + uniforms * (more - less + 1)) / (ends[cell + 1] - ends[cell] + 1)
    return np.asarray(edges[i, cell] + (edges[i, cell + 1] - edges[i, cell]) * place, dtype=np.float64)
