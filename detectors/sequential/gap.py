"""Sums of groups' rates or means, and the e-value and both ends of the gaps between them (see `between`)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.sequential.bets import log10_mean
from detectors.sequential.mean_bets import CELLS_N, EDGES, SUMS_N, log_above, log_below, mean_interval, sums_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_GROUPS = 50


@dataclass(frozen=True, kw_only=True)
class GapState:
    """Sums alone."""

    groups: tuple[str, ...] = ()
    """In the order in which they first appeared; at most 50, later ones are not judged."""
    sums: Floats
    """Of each group and figure, shape (groups, figures, 6), columns as `Sums`; values in [0, 1], weights in (0, 1]."""
    low: float = 0.0
    """The figure's own value at 0."""
    unit: float = 1.0
    """What 1 is in the figure's own unit; 0 = not known, nothing can be judged."""
    left_out_n: int = 0
    """Pairs of later groups."""

    @property
    def aside(self) -> str:
        """How a sentence goes on where there are later groups."""
        few = f", {self.left_out_n} more are of groups that came later than the first {MOST_GROUPS} and are not judged"
        return few if self.left_out_n else ""

    @property
    def means(self) -> Floats:
        """Weighted mean of each group and figure, (groups, figures); 0 without a pair."""
        return np.asarray(self.sums[..., 3] / np.where(self.sums[..., 1] > 0.0, self.sums[..., 1], 1.0), dtype=np.float64)


class Comparisons(NamedTuple):
    """Of group a with group b in a figure, each of shape (comparisons,)."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    figure: NDArray[np.int64]
    weight: Floats


def no_sums(figures_n: int, *, low: float = 0.0, unit: float = 1.0) -> GapState:
    """Before any pair."""
    return GapState(sums=np.zeros((0, figures_n, SUMS_N)), low=low, unit=unit)


def grown(state: GapState, group: NDArray[np.object_], x: Floats, w: Floats) -> GapState:
    """A pane's pairs: group of each (None = unknown), x (n, figures) in [0, 1] with NaN = does not count, w (n,) in (0, 1]."""
    names = list(state.groups)
    for name in dict.fromkeys(g for g in group.tolist() if g is not None):
        if name not in names and len(names) < MOST_GROUPS:
            names.append(name)
    sums = np.concatenate([state.sums, np.zeros((len(names) - len(state.groups), *state.sums.shape[1:]))])
    for i, name in enumerate(names):
        rows = group == name
        sums[i] += sums_of(x[rows], w[rows])
    known = {None, *names}
    left_out_n = sum(g not in known for g in group.tolist())
    return replace(state, groups=tuple(names), sums=sums, left_out_n=state.left_out_n + left_out_n)


def comparisons(state: GapState, min_n: int) -> Comparisons:
    """Every ordered pair of groups with at least min_n pairs for the figure.

    The weight: 6 / (pi^2 (g - 1)^2) for the later group's number g, shared by the 2 (g - 1) ordered pairs that it brings and the figures:
    fixed when the groups first appear, adding up to at most 1.
    """
    k, figures_n = state.sums.shape[:2]
    n = state.sums[..., 0]
    found = [(a, b, r) for a in range(k) for b in range(k) if a != b for r in range(figures_n) if min(n[a, r], n[b, r]) >= min_n]
    a, b, figure = np.array(found, dtype=np.int64).reshape(-1, 3).T
    before = np.maximum(a, b).astype(np.float64)  # groups that were there before the later one
    return Comparisons(a, b, figure, 6.0 / (math.pi**2 * before**2) / (2.0 * before * figures_n))


def differences(state: GapState, of: Comparisons) -> Floats:
    """Observed, shape (comparisons,)."""
    return np.asarray(state.means[of.a, of.figure] - state.means[of.b, of.figure], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The bets of a pane: made once, for all gaps and all that a group is compared with."""

    above: Floats
    """Logarithm of the e-value against "the mean is at most m", m in each cell, then m = 1 as often; (groups, figures, 2 cells)."""
    below: Floats
    """Against "at least m"; (groups, figures, cells)."""


def curves(sums: Floats) -> Curves:
    """Of sums, (..., 6)."""
    above = log_above(sums, np.append(EDGES, 1.0))
    return Curves(above=np.concatenate([above, np.repeat(above[..., -1:], CELLS_N - 1, axis=-1)], axis=-1), below=log_below(sums, EDGES))


def log_e_gap(above: Floats, below: Floats, steps: int) -> Floats:
    """Logarithm of the e-value against mean_a - mean_b <= steps / CELLS_N, of the curves of a, (..., 2 cells), and b, (..., cells).

    If that is true then mean_b = m and mean_a <= m + gap for some m, and the product of the bets against these two has a mean of at most 1;
    hence so has its least over all m.
    """
    return np.asarray((above[..., steps : steps + CELLS_N] + below).min(axis=-1), dtype=np.float64)


def steps_of(gap: float) -> int:
    """The gap in cells, rounded up: evidence against the larger one is evidence against it."""
    return math.ceil(gap * CELLS_N - 1e-9)


def _log_e(found: Curves, of: Comparisons, steps: int) -> Floats:
    """Of each comparison; a group with all others at once, so that no curve is copied for each of them."""
    e = np.empty(len(of.a))
    for a, figure in sorted({*zip(of.a.tolist(), of.figure.tolist(), strict=True)}):
        rows = (of.a == a) & (of.figure == figure)
        e[rows] = log_e_gap(found.above[a, figure], found.below[of.b[rows], figure], steps)
    return e


def log10_gap(found: Curves, of: Comparisons, steps: int) -> float:
    """Weighted sum of the comparisons' e-values against "no gap above so many cells"."""
    return log10_mean(_log_e(found, of, steps), of.weight)


def wide_gaps(state: GapState, found: Curves, of: Comparisons, steps: int, alpha: float) -> list[tuple[str, str, int]]:
    """(a, b, figure) of the comparisons above the gap, the widest first: weighted e-BH, its false discovery rate at most alpha."""
    log_e = _log_e(found, of, steps) + np.log(of.weight)
    order = np.argsort(-log_e, kind="stable")
    is_enough = log_e[order] >= -np.log(alpha * np.arange(1, len(order) + 1))
    named = order[: int(np.flatnonzero(is_enough).max(initial=-1)) + 1]
    apart = differences(state, of)
    return [(state.groups[of.a[i]], state.groups[of.b[i]], int(of.figure[i])) for i in sorted(named, key=lambda i: -apart[i])]


def lower_end(found: Curves, of: Comparisons, alpha: float) -> float:
    """Largest gap that is refuted at alpha, in whole cells (evidence falls as the gap rises); 0 when not even "no gap" is."""
    low, high, least = 0, CELLS_N, -math.log10(alpha)
    if log10_gap(found, of, 0) < least:
        return 0.0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if log10_gap(found, of, middle) >= least else (low, middle)
    return low / CELLS_N


def upper_end(state: GapState, found: Curves, alpha: float, min_n: int) -> float:
    """No gap is above this, at any look, with 1 - alpha: the ends of every figure's confidence sequence, at a level fixed when it appears.

    Between the groups that can be judged; 6 / (pi^2 g^2) of alpha for the g-th group, shared by its figures.
    """
    k, figures_n = state.sums.shape[:2]
    high = 0.0
    for figure in range(figures_n):
        judged = [(g, alpha * 6.0 / (math.pi * (g + 1)) ** 2 / figures_n) for g in range(k) if state.sums[g, figure, 0] >= min_n]
        ends = [mean_interval(found.above[g, figure, :CELLS_N], found.below[g, figure], share) for g, share in judged]
        high = max([high, *(a[1] - b[0] for a, b in permutations(ends, 2))])
    return high
