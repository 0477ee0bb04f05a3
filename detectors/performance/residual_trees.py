"""What a score leaves unsaid and the inputs say: boosted trees of "right, less its calibrated chance", and how far to believe them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.uint8]

PARTS_N, _TREES_N, _DEPTH = 5, 30, 3
_RATE, _RIDGE = 0.25, 20.0
_ROWS_N, _COLUMNS_N = 8192, 16
"""A tree is grown from so many rows and columns at most, drawn anew for each, so that neither a long nor a wide table costs more."""
_LEVELS_N = 66
"""Codes of numbers (64 or fewer knots), and one for missing; categories have fewer."""
SHOWN_N = 20
"""Trees whose leaves say how many labelled rows are like production's: the first ones, which say most."""
_READ_N = 1000
"""Rows that are read at once: 2 MB of moves."""
_PLACES = 2 ** np.arange(_DEPTH)
_SEED = 20261129


@dataclass(frozen=True, kw_only=True)
class Trees:
    """Five sums of 30 trees, each grown without another fifth of the labelled rows.

    All nodes of one depth of a tree ask the same question, so that a row's leaf is a binary number.
    """

    column: NDArray[np.int16]
    """Asked at each depth, shape (trees, depth); the trees of one part stand together."""
    cut: Codes
    """A code above it is a 1, shape (trees, depth)."""
    step: Floats
    """Shape (trees, 2^depth)."""
    centre: float
    """Mean of what they say of the labelled rows that they have not seen."""
    rows: Floats
    """Labelled rows in each leaf of the first trees, shape (20, 2^depth)."""
    t: float
    """By how many standard errors the squared error falls on rows that they have not seen."""

    def read(self, codes: Codes) -> tuple[Floats, Codes]:
        """(move of the chance by each part, shape (n, parts); leaf in each of the first trees, shape (n, 20)) of codes (n, columns)."""
        found = [self._read(codes[i : i + _READ_N]) for i in range(0, max(1, len(codes)), _READ_N)]
        return np.concatenate([moves for moves, _ in found]), np.concatenate([leaves for _, leaves in found])

    def _read(self, codes: Codes) -> tuple[Floats, Codes]:
        levels = np.ascontiguousarray(np.minimum(codes, _LEVELS_N - 1).T)
        leaf = np.zeros((len(self.column), len(codes)), dtype=np.uint8)  # (trees, n)
        for depth in range(_DEPTH):
            leaf |= (levels[self.column[:, depth]] > self.cut[:, depth, None]).astype(np.uint8) << depth
        moves = np.take_along_axis(self.step, leaf.astype(np.int64), axis=1)
        return moves.reshape(PARTS_N, _TREES_N, len(codes)).sum(axis=1).T - self.centre, leaf[:SHOWN_N].T

    def like(self, leaves: Codes) -> float:
        """Effective number of labelled rows that these records are read from, (n, 20) as of `read`.

        A tree that gives a leaf's rows the weight of production's share q there has (sum of q^2 / rows)^-1; the harmonic mean of the first
        trees. [Kish 1965 for effective numbers]
        """
        share = np.stack([np.bincount(at, minlength=2**_DEPTH) for at in leaves.T]) / len(leaves)
        return 1.0 / float((share**2 / np.maximum(self.rows, 1.0)).sum(axis=1).mean())


def parts_variance(figures: Floats) -> float:
    """Of the mean of a figure, shape (parts,), that each part gives without its fifth of the rows.  [Tukey 1958, the jackknife]."""
    return float((PARTS_N - 1) / PARTS_N * ((figures - figures.mean()) ** 2).sum())


def grown(codes: Codes, residual: Floats) -> Trees:
    """Of the mean of `residual` (n,) given `codes` (n, columns), see `table`; columns and rows > 0. Cost: a second at most.

    Least squares by 30 trees of depth 3 at a rate of .25; a leaf of n rows moves by their sum over n + 20. All moves are then scaled by the
    share that is best for the rows that the trees have not seen.
    [Friedman 2002, stochastic gradient boosting; Prokhorenkova et al. 2018, oblivious trees, arXiv:1706.09516]
    """
    levels = np.minimum(codes, _LEVELS_N - 1)
    part = np.random.default_rng(_SEED).permutation(len(codes)) % PARTS_N
    found = [_boosted(levels[part != k], residual[part != k], np.random.default_rng([_SEED, k])) for k in range(PARTS_N)]
    column, cut, step = (np.concatenate(x) for x in zip(*found, strict=True))
    trees = Trees(column=column, cut=cut, step=step, centre=0.0, rows=np.zeros((SHOWN_N, 2**_DEPTH)), t=0.0)
    moves, leaves = trees.read(codes)
    unseen = moves[np.arange(len(codes)), part]
    share = min(2.0, max(0.0, float(residual @ unseen) / max(float(unseen @ unseen), 1e-12)))
    gain = residual**2 - (residual - share * unseen) ** 2
    error = float(gain.std()) / np.sqrt(len(gain))
    rows = np.stack([np.bincount(at, minlength=2**_DEPTH) for at in leaves.T]).astype(np.float64)
    t = float(gain.mean()) / error if error > 0.0 else 0.0
    return replace(trees, step=share * step, centre=share * float(unseen.mean()), rows=rows, t=t)


def _boosted(levels: Codes, residual: Floats, rng: np.random.Generator) -> tuple[NDArray[np.int16], Codes, Floats]:
    """(column, cut, step) of one part's trees."""
    left, (n, columns_n) = residual.copy(), levels.shape
    column, cut = np.zeros((_TREES_N, _DEPTH), dtype=np.int16), np.zeros((_TREES_N, _DEPTH), dtype=np.uint8)
    step = np.zeros((_TREES_N, 2**_DEPTH))
    for i in range(_TREES_N):
        drawn = np.sort(rng.choice(n, min(n, _ROWS_N), replace=False))
        asked = np.sort(rng.choice(columns_n, min(columns_n, _COLUMNS_N), replace=False))
        at = levels[np.ix_(drawn, asked)] + _LEVELS_N * np.arange(len(asked))  # (rows, columns)
        each = np.repeat(left[drawn], len(asked))
        leaf = np.zeros(n, dtype=np.int64)
        for depth in range(_DEPTH):
            j, cut[i, depth] = _best(at, leaf[drawn], 2**depth, each)
            column[i, depth] = asked[j]
            leaf += _PLACES[depth] * (levels[:, asked[j]] > cut[i, depth])
        rows = np.bincount(leaf[drawn], minlength=2**_DEPTH)
        step[i] = _RATE * np.bincount(leaf[drawn], left[drawn], 2**_DEPTH) / (rows + _RIDGE)
        left -= step[i][leaf]
    return column, cut, step


def _best(at: NDArray[np.int64], leaf: NDArray[np.int64], leaves_n: int, each: Floats) -> tuple[int, int]:
    """(place of the column, cut) that explains most of what is left, over all leaves; `each`: what is left, at each entry of `at`."""
    shape = (leaves_n, at.shape[1], _LEVELS_N)
    cell = (at + leaf[:, None] * (at.shape[1] * _LEVELS_N)).ravel()
    n, total = (np.bincount(cell, w, int(np.prod(shape))).reshape(shape).cumsum(axis=2) for w in (None, each))
    gain = total**2 / (n + _RIDGE) + (total[:, :, -1:] - total) ** 2 / (n[:, :, -1:] - n + _RIDGE)
    column, cut = divmod(int(gain.sum(axis=0).argmax()), _LEVELS_N)
    return column, cut
