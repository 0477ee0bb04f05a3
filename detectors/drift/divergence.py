"""Divergences of two columns of counts: symmetric sums over cells, each with the interval that its shape allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from detectors.drift.cells import Cells, Figure, pooled
from detectors.drift.interval import Slopes, interval, smoothed

if TYPE_CHECKING:
    from collections.abc import Callable

    Floats = NDArray[np.float64]


_LEAST = 1e-5
"""No share is taken to be smaller: where one is 0 an index without bound would be infinite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """d(p, q) = sum over cells of term(p_i, q_i): each at least 0, 0 where p_i = q_i, convex, and the same for (q, p).

    So no pooling of cells can raise it (data processing), and no cell's term grows when its shares come nearer to each other.
    """

    terms: Callable[[Floats, Floats], Floats]
    """Of shares p and q, shape (k,)."""
    slope: Callable[[Floats, Floats], Floats]
    """Derivative of the terms by p, shape (k,), where no share is 0; by q it is slope(q, p)."""
    bend: Callable[[Floats, Floats], Floats]
    """p times the second derivative by p, shape (k,)."""
    is_smoothed: bool = False
    """True: infinite where a cell is empty, so half a record is added to each."""

    def shares(self, counts: Floats) -> Floats:
        """What it is taken of, shape (k,)."""
        return smoothed(counts) if self.is_smoothed else counts / counts.sum()

    def of(self, p: Floats, q: Floats) -> float:
        """The divergence."""
        return max(0.0, float(self.terms(p, q).sum()))


def measured(divergence: Divergence, cells: Cells, alpha: float) -> Figure:
    """The divergence of two columns of counts, with an interval that holds with about 1 - alpha (see `interval`).

    A plug-in estimate is too large by about what chance makes of no difference; where cells are rare by more, so the lower end is taken
    with the rare ones as one cell, whose divergence is at most the true one.
    """
    value = divergence.of(divergence.shares(cells.before), divergence.shares(cells.now))
    few = pooled(cells)
    low, high = _ends(divergence, cells, alpha)
    if few is not cells:
        low, _ = _ends(divergence, few, alpha)
    return Figure(value, min(low, value), max(high, value) + _hidden(divergence, cells))


def _hidden(divergence: Divergence, cells: Cells) -> float:
    """How much more it may be where a cell is empty on one side and the divergence grows without bound as that share falls."""
    if not divergence.is_smoothed:
        return 0.0
    p, q = divergence.shares(cells.before), divergence.shares(cells.now)
    least_p, least_q = (np.where(counts == 0, _LEAST, x) for counts, x in ((cells.before, p), (cells.now, q)))
    return max(0.0, divergence.of(least_p, least_q) - divergence.of(p, q))


def _ends(divergence: Divergence, cells: Cells, alpha: float) -> tuple[float, float]:
    p, q = divergence.shares(cells.before), divergence.shares(cells.now)
    x, y = smoothed(cells.before), smoothed(cells.now)  # where derivatives exist
    n_p, n_q = round(float(cells.before.sum())), round(float(cells.now.sum()))
    slopes = Slopes(
        value=divergence.of(p, q),
        by_p=divergence.slope(x, y),
        by_q=divergence.slope(y, x),
        curvature=float(divergence.bend(np.ones(1), np.ones(1))[0]) / 2.0,
        bias=float((divergence.bend(x, y) / n_p + divergence.bend(y, x) / n_q).sum()) / 2.0,
    )
    slack = sketch_slack(divergence, p, q, cells.before_error, cells.now_error)
    return interval(slopes, x, y, n_p=n_p, n_q=n_q, alpha=alpha, slack=slack)


def sketch_slack(divergence: Divergence, p: Floats, q: Floats, p_error: float, q_error: float) -> tuple[float, float]:
    """How much lower and how much higher it could be if each share may be off by so much (sums of 1 not asked for)."""
    up, error = np.sign(q - p), p_error + q_error
    if not error:
        return 0.0, 0.0
    part = np.minimum(1.0, np.abs(q - p) / error)  # of the way to each other
    nearer = divergence.of(p + up * part * p_error, q - up * part * q_error)
    apart = [((p - s * p_error).clip(p.min()), (q + s * q_error).clip(q.min())) for s in (1.0, -1.0)]
    further = float(np.max([divergence.terms(x, y) for x, y in apart], axis=0).sum())
    here = divergence.of(p, q)
    return max(0.0, here - nearer), max(0.0, further - here)


def _half_bits(p: Floats, q: Floats) -> Floats:
    mean = (p + q) / 2.0
    return np.asarray((rel_entr(p, mean) + rel_entr(q, mean)) / (2.0 * math.log(2.0)), dtype=np.float64)


JENSEN_SHANNON = Divergence(
    terms=_half_bits,
    slope=lambda p, q: np.log2(2.0 * p / (p + q)) / 2.0,
    bend=lambda p, q: q / (p + q) / (2.0 * math.log(2.0)),
)
"""In bits, at most 1."""
SQUARED_HELLINGER = Divergence(
    terms=lambda p, q: np.square(np.sqrt(p) - np.sqrt(q)) / 2.0,
    slope=lambda p, q: (1.0 - np.sqrt(q / p)) / 2.0,
    bend=lambda p, q: np.sqrt(q / p) / 4.0,
)
"""1 - sum sqrt(p q), at most 1."""
STABILITY_INDEX = Divergence(
    terms=lambda p, q: (q - p) * np.log(q / p),
    slope=lambda p, q: 1.0 - q / p - np.log(q / p),
    bend=lambda p, q: 1.0 + q / p,
    is_smoothed=True,
)
"""In nats, without a bound; half a record is added to each cell, since it is infinite where one is empty."""


def rooted(figure: Figure) -> Figure:
    """Square roots, at most 1: the distance of a divergence that is a squared metric."""
    value, low, high = (min(1.0, math.sqrt(x)) for x in figure)
    return Figure(value, low, high)
