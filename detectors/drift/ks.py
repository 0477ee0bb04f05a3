"""Kolmogorov-Smirnov: the largest gap between two distribution functions, honest about the sketches that they come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov

from detectors.drift.one_look import OneLookOfColumn
from detectors.registry import register
from detectors.sketches.quantiles import Quantiles
from detectors.types import Eats

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class KsState:
    """The reference's distribution function."""

    values: NDArray[np.float64]
    """Points in order, shape (m,)."""
    shares: NDArray[np.float64]
    """Share of the reference at or below each, shape (m,)."""
    n: int
    error: float
    """Largest error of a share, from the sketch."""


@register("ks")
@dataclass(frozen=True, kw_only=True)
class Ks(OneLookOfColumn):
    """Two-sample Kolmogorov-Smirnov test of one numeric column on KLL sketches.

    Value: D = sup |F(x) - G(x)| in [0, 1], of the sketches. The test uses D less both sketches' rank errors, so a sketch can hide a
    difference but not make one (whylogs issue 684: tests that ignore it alarm on quiet data). The interval adds the radius of
    Massart, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality" (1990) on either side.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.NUMERIC})
    guarantee: ClassVar[str] = "P(p <= alpha) <= alpha at one look (0.02 more once sketches round: each holds its rank error in 99 of 100)"
    assumption: ClassVar[str] = "records independent; asymptotic in n (ties make it conservative)"
    cost: ClassVar[str] = "O(points of the sketches), about 2,500, whatever the window holds; no labels"
    source: ClassVar[str] = "Smirnov 1948 (test); Vrbik 2020 (small n); Karnin, Lang & Liberty 2016, arXiv:1603.05346 (sketch)"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")

    def start(self, reference: Reference) -> KsState:
        """The reference's distribution function; empty when it has no such column."""
        found = reference.sketches.get(self.column, {}).get("quantiles", Quantiles())
        values, shares = found.points()
        return KsState(values=values, shares=shares, n=found.n, error=found.rank_error)

    def step(self, state: KsState, data: Window) -> tuple[KsState, Verdict]:
        """One look at a window."""
        current = data.sketches.get(self.column, {}).get("quantiles", Quantiles())
        if min(state.n, current.n) < self.min_n:
            because = f"{self.column}: {current.n} numbers in the window, {state.n} in the reference; both need {self.min_n}"
            return state, self.unknown((0.0, 0.0, 1.0), current.n, because)
        gap, at = largest_gap(state, current)
        error = state.error + current.rank_error
        sure = max(0.0, gap - error)
        p = chance_of(sure, state.n * current.n / (state.n + current.n))
        radius = error + sum(math.sqrt(math.log(4.0 / self.alpha) / (2.0 * size)) for size in (state.n, current.n))
        because = (
            f"{self.column}: the distributions of window and reference are at most {gap:.3f} apart (at {at:.4g}), p = {p:.2g} "
            f"{'<=' if p <= self.alpha else '>'} {self.alpha:g}; {current.n} numbers against {state.n}"
        )
        return state, self.told(p, (gap, max(0.0, gap - radius), min(1.0, gap + radius)), current.n, because)


def chance_of(gap: float, n: float) -> float:
    """P(a gap at least so large) with equal distributions; n = n_1 n_2 / (n_1 + n_2), at least some ten.

    Kolmogorov's limit with Vrbik's correction of its argument (2020, "Deriving CDF of Kolmogorov-Smirnov test statistic",
    doi:10.4236/am.2020.113018): within .001 of the exact one for n >= 15, too large rather than too small in the tail.
    (scipy.stats has the exact one, at 50 MB and a second of imports.)
    """
    x = math.sqrt(n) * gap
    return float(kolmogorov(max(0.0, x + 1.0 / (6.0 * math.sqrt(n)) + (x - 1.0) / (4.0 * n)))) if gap > 0.0 else 1.0


def largest_gap(state: KsState, current: Quantiles) -> tuple[float, float]:
    """The largest distance of the two distribution functions, and where."""
    values, shares = current.points()
    gaps = np.abs(  # two steps differ most at a step of one of them
        np.concatenate([state.shares - _share_at(values, shares, state.values), shares - _share_at(state.values, state.shares, values)])
    )
    i = int(np.argmax(gaps))
    at = state.values[i] if i < len(state.values) else values[i - len(state.values)]
    return min(1.0, float(gaps[i])), float(at)


def _share_at(values: NDArray[np.float64], shares: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share at or below each of `at`, shape (len(at),)."""
    return np.concatenate([[0.0], shares])[np.searchsorted(values, at, side="right")]
