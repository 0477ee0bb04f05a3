"""Exact ranks among the reference and all that came since, in bounded space: an urn of cells.

Under the null, reference and production records are exchangeable. Cut the line at the sorted reference values (ties in a random order): the
next record falls into each of the n + 1 gaps with chance 1 / (n + 1), and after t records with chance (1 + those in the gap) / (n + 1 + t):
a Polya urn, whatever the distribution. Neighbouring gaps may be joined to cells, their weights added. So u = (weight of the cells below +
U (weight of its own cell)) / (weight of all) is uniform and independent of the past, exactly: no radius, no delta. It is the conformal rank
among reference and past [Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world"], with the past kept as counts.

For cells that were fixed before the reference's counts were taken (categories) the record counts among its own: `own` = 1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Cells = NDArray[np.int64]

KNOTS_N = 512
_CHUNK_N = 128


class Knots(NamedTuple):
    """Where the cells end."""

    values: Floats
    """Distinct values, ascending."""
    keys: Floats
    """Of each knot: number of its value + a random fraction that orders ties, ascending, shape (knots,)."""
    gaps: Floats
    """Gaps between neighbouring reference values in each cell, shape (knots + 1,): the urn at the start."""


def knots_of(values: Floats, most: int = KNOTS_N) -> Knots:
    """At most so many knots of the reference's values, shape (n,), evenly spaced in rank; the outermost are its extremes."""
    n = len(values)
    order, at, fractions = _ordered(values, most)
    kept = order[at]
    distinct, number = np.unique(values[kept], return_inverse=True)
    gaps = np.diff(np.concatenate([[0], at + 1, [n + 1]])).astype(np.float64)
    return Knots(distinct, number + fractions[kept], gaps)


def cells_of_reference(values: Floats, most: int = KNOTS_N) -> Cells:
    """Cell of each value that `knots_of` was given, shape (n,); as many in each as its `gaps` say (of the last, one less)."""
    order, at, _ = _ordered(values, most)
    cells = np.empty(len(values), dtype=np.int64)
    cells[order] = np.searchsorted(at, np.arange(len(values)), side="left")
    return cells


def _ordered(values: Floats, most: int) -> tuple[Cells, Cells, Floats]:
    """(rows in ascending order, places of the knots in it, random fraction of each row that orders ties)."""
    n = len(values)
    seed = np.frombuffer(hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest(), np.uint32)
    fractions = np.random.default_rng(seed).random(n)  # another order of ties for each reference: one for all were not random
    at = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
    return np.lexsort((fractions, values)), at, fractions


def cells_of(values: Floats, keys: Floats, new: Floats, uniforms: Floats) -> Cells:
    """Cell of each new value, shape (n,); a value that ties with knots falls at random among them."""
    number = np.searchsorted(values, new, side="left")
    is_tied = values[np.minimum(number, len(values) - 1)] == new
    return np.asarray(np.searchsorted(keys, np.where(is_tied, number + uniforms, number), side="left"), dtype=np.int64)


def urn_ranks(weights: Floats, cells: Cells, uniforms: Floats, *, own: float = 0.0) -> tuple[Floats, Floats]:
    """(rank of each record, shape (n,); the urn after them); each record joins the urn before the next is ranked.

    Cost: 128 comparisons of small integers a record.
    """
    ranks = np.empty(len(cells))
    for start in range(0, len(cells), _CHUNK_N):
        chunk = cells[start : start + _CHUNK_N]
        edges = np.concatenate([[0.0], np.cumsum(weights)])
        is_earlier = np.tri(len(chunk), k=-1, dtype=np.bool_)
        below = edges[chunk] + ((chunk < chunk[:, None]) & is_earlier).sum(axis=1)
        among = weights[chunk] + ((chunk == chunk[:, None]) & is_earlier).sum(axis=1) + own
        total = edges[-1] + np.arange(len(chunk)) + own
        ranks[start : start + _CHUNK_N] = (below + uniforms[start : start + _CHUNK_N] * among) / total
        weights = weights + np.bincount(chunk, minlength=len(weights))
    return ranks, weights


def urn_hits(weights: Floats, cells: Cells, uniforms: Floats, watched: Cells, chances: Floats) -> Floats:
    """Hits of each watched cell, shape (watched,): binomial at `chances` under the null, given all hits before, for cells fixed beforehand.

    For one cell against all others the exact rank is below (weight + 1) / (total + 1) when the record falls into the cell; counted is
    whether it is below `chances`, which must not depend on what the urn has seen (exact ranks are independent of each other, not of that).
    """
    is_in = cells == watched[:, None]  # (watched, n)
    own = weights[watched][:, None] + np.cumsum(is_in, axis=1) - is_in
    total = weights.sum() + np.arange(len(cells))
    ranks = np.where(is_in, uniforms * (own + 1.0), own + uniforms * (total - own + 1.0)) / (total + 1.0)
    return np.asarray((ranks < chances[:, None]).sum(axis=1), dtype=np.float64)


def fixed_ranks(gaps: Floats, cells: Cells, uniforms: Floats) -> Floats:
    """Ranks among the reference alone, within 1 / n of those by its distribution function."""
    edges = np.concatenate([[0.0], np.cumsum(gaps)])
    return np.asarray((edges[cells] + uniforms * gaps[cells]) / edges[-1], dtype=np.float64)
