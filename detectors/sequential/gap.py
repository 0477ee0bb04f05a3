"""Counts of groups' rates, and the e-value and lower end of the gaps between them (see `fairness_gap`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from detectors.sequential.bets import log10_mean
from detectors.sequential.interval import log_likelihood, log_mixture, share_sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_POINTS_N = 32


@dataclass(frozen=True, kw_only=True)
class GapState:
    """Counts alone."""

    groups: tuple[str, ...] = ()
    """In the order in which they first appeared; at most 50, later ones are not judged."""
    hits: Floats
    """Answers "positive" of each group and rate, shape (groups, rates)."""
    counts: Floats
    """Pairs that count, same shape."""


def _comparisons(state: GapState, min_n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """(a, b, rate, weight) of every ordered pair of groups with at least min_n pairs for the rate.

    The weight: 6 / (pi^2 (g - 1)^2) for the later group's number g, shared by the 2 (g - 1) ordered pairs that it brings and the rates:
    fixed when the groups first appear, adding up to at most 1.
    """
    k, rates_n = state.counts.shape
    found = [(a, b, r) for a in range(k) for b in range(k) if a != b for r in range(rates_n) if min(state.counts[[a, b], r]) >= min_n]
    a, b, rate = np.array(found, dtype=np.int64).reshape(-1, 3).T
    before = np.maximum(a, b).astype(np.float64)  # groups that were there before the later one
    return a, b, rate, 6.0 / (math.pi**2 * before**2) / (2.0 * before * rates_n)


def gaps(state: GapState, min_n: int) -> Floats:
    """Observed difference of every comparison, shape (comparisons,)."""
    a, b, rate, _ = _comparisons(state, min_n)
    return np.asarray(state.hits[a, rate] / state.counts[a, rate] - state.hits[b, rate] / state.counts[b, rate], dtype=np.float64)


def log10_gap(state: GapState, gap: float, min_n: int) -> float:
    """Weighted sum of the comparisons' e-values against "no gap above `gap`"."""
    a, b, rate, weight = _comparisons(state, min_n)
    return log10_mean(log_e_gap(state.hits[a, rate], state.counts[a, rate], state.hits[b, rate], state.counts[b, rate], gap), weight)


def wide_gaps(state: GapState, gap: float, alpha: float, min_n: int) -> list[tuple[str, str, int]]:
    """(a, b, rate) of the comparisons above `gap`, the widest first: weighted e-BH, its false discovery rate at most alpha."""
    a, b, rate, weight = _comparisons(state, min_n)
    log_e = log_e_gap(state.hits[a, rate], state.counts[a, rate], state.hits[b, rate], state.counts[b, rate], gap) + np.log(weight)
    order = np.argsort(-log_e, kind="stable")
    is_enough = log_e[order] >= -np.log(alpha * np.arange(1, len(order) + 1))
    found = order[: int(np.flatnonzero(is_enough).max(initial=-1)) + 1]
    difference = gaps(state, min_n)
    return [(state.groups[a[i]], state.groups[b[i]], int(rate[i])) for i in sorted(found, key=lambda i: -difference[i])]


def upper_end(state: GapState, alpha: float, min_n: int) -> float:
    """No gap is above this, at any look, with 1 - alpha: the ends of every rate's confidence sequence, at a level fixed when it appears.

    Between the groups that can be judged; 6 / (pi^2 g^2) of alpha for the g-th group, shared by its rates.
    """
    k, rates_n = state.counts.shape
    high = 0.0
    for rate in range(rates_n):
        ends = [
            share_sequence(state.hits[g, rate], state.counts[g, rate], alpha * 6.0 / (math.pi * (g + 1)) ** 2 / rates_n)
            for g in range(k)
            if state.counts[g, rate] >= min_n
        ]
        high = max([high, *(a[1] - b[0] for a, b in permutations(ends, 2))])
    return high


def log_e_gap(ka: Floats, na: Floats, kb: Floats, nb: Floats, gap: Floats | float) -> Floats:
    """Logarithm of the e-value against p_a - p_b <= gap, after k hits in n > 0 of each; arguments broadcast."""
    return log_mixture(ka, na) + log_mixture(kb, nb) - _largest_log_likelihood(ka, na, kb, nb, gap)


def _largest_log_likelihood(ka: Floats, na: Floats, kb: Floats, nb: Floats, gap: Floats | float) -> Floats:
    """Over all rates with p_a - p_b <= gap: free when the observed gap is allowed, else on the edge (by halving)."""
    shape = np.broadcast_shapes(ka.shape, np.shape(gap))
    low, high = np.zeros(shape), np.broadcast_to(1.0 - np.asarray(gap), shape)
    for _ in range(40):
        p = 0.5 * (low + high)
        rest = np.maximum(1.0 - p - gap, 1e-15)
        slope = kb / p - (nb - kb) / (1.0 - p) + ka / (p + gap) - (na - ka) / rest
        low, high = np.where(slope > 0, p, low), np.where(slope > 0, high, p)
    p = 0.5 * (low + high)
    edge = log_likelihood(ka, na, np.minimum(p + gap, 1.0)) + log_likelihood(kb, nb, p)
    free = log_likelihood(ka, na, ka / na) + log_likelihood(kb, nb, kb / nb)
    return np.asarray(np.where(ka / na - kb / nb <= gap, free, edge), dtype=np.float64)


def lower_end(state: GapState, alpha: float, min_n: int) -> float:
    """Largest gap that is refuted at alpha, within 1/32,768 below; 0 when not even "no gap" is."""
    a, b, rate, weight = _comparisons(state, min_n)
    ka, na, kb, nb = (x[:, None] for x in (state.hits[a, rate], state.counts[a, rate], state.hits[b, rate], state.counts[b, rate]))
    low, high = 0.0, 1.0
    for _ in range(3):
        points = np.linspace(low, high, _POINTS_N + 1)
        log_e = logsumexp(log_e_gap(ka, na, kb, nb, points[:-1]), axis=0, b=weight[:, None])
        last = int((log_e >= -math.log(alpha)).sum()) - 1  # evidence falls as the gap rises
        if last < 0:
            return low
        low, high = float(points[last]), float(points[last + 1])
    return low
