"""Pearson's chi-square test of homogeneity: whether categories come as often as in the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, rel_entr

from detectors.drift.categories import CategoryState, category_state, compared, largest_change
from detectors.drift.interval import Slopes, interval, smoothed
from detectors.drift.one_look import OneLookOfColumn
from detectors.registry import register
from detectors.types import Eats

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window

_EXPECTED = 5.0
"""Categories expected less often than this in either sample are rare: Pearson's p-value is not to be trusted there (Cochran's rule)."""


@register("chi_square")
@dataclass(frozen=True, kw_only=True)
class ChiSquare(OneLookOfColumn):
    """Chi-square test of one category column; a missing value is a category, rare categories are pooled and looked at one by one.

    Value: Cramér's V of the table (sample x category), in [0, 1]: 0 = the same shares, 1 = nothing in common.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.CATEGORY})
    guarantee: ClassVar[str] = "P(p <= alpha) about alpha at one look"
    assumption: ClassVar[str] = "records independent; asymptotic, except for rare categories, whose bound holds for any n"
    cost: ClassVar[str] = "O(categories), at most 1,000; counts are exact; no labels"
    source: ClassVar[str] = "Pearson 1900; Cochran 1954 (pooling); Hoeffding 1963 (rare ones); Cramér 1946 (V)"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.channel")

    def start(self, reference: Reference) -> CategoryState:
        """The reference's counts."""
        return category_state(reference, self.column)

    def step(self, state: CategoryState, data: Window) -> tuple[CategoryState, Verdict]:
        """One look at a window."""
        names, before, now = compared(state, data, self.column)
        n_before, n_now = int(before.sum()), int(now.sum())
        if min(n_before, n_now) < self.min_n:
            because = f"{self.column}: {n_now} records in the window, {n_before} in the reference; both need {self.min_n}"
            return state, self.unknown((0.0, 0.0, 1.0), n_now, because)
        p = homogeneity(before, now)
        found = squared_association(before / n_before, now / n_now, n_before, n_now)
        low, high = interval(found, smoothed(before), smoothed(now), n_p=n_before, n_q=n_now, alpha=self.alpha)
        is_alarm = p <= self.alpha
        because = (
            f"{self.column}: categories {'do not come' if is_alarm else 'come'} as often as in the reference, p = {p:.2g} "
            f"{'<=' if is_alarm else '>'} {self.alpha:g}, {largest_change(names, before / n_before, now / n_now)}; "
            f"{n_now} records against {n_before}"
        )
        figure = (math.sqrt(found.value), math.sqrt(low), min(1.0, math.sqrt(high)))
        return state, self.told(p, figure, n_now, because)


def homogeneity(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """p-value of "both columns of counts, (k,), come from one distribution"; without rare categories it is Pearson's.

    Rare ones are pooled for Pearson's test and looked at one by one as well: given how often a category came in all, how often in `x` is
    hypergeometric, whose tails Chernoff's bound for the binomial holds too (Hoeffding 1963). Both looks share the p-value (Bonferroni).
    """
    total, share = x + y, x.sum() / (x.sum() + y.sum())
    is_rare = total * min(share, 1.0 - share) < _EXPECTED
    if not is_rare.any():
        return _pearson(x, y)
    pooled_x, pooled_y = (np.append(column[~is_rare], column[is_rare].sum()) for column in (x, y))
    is_testable = (pooled_x + pooled_y)[-1] * min(share, 1.0 - share) >= _EXPECTED
    pooled = _pearson(pooled_x, pooled_y) if is_testable else _pearson(x[~is_rare], y[~is_rare])
    part = x[is_rare] / total[is_rare]
    exponent = total[is_rare] * (rel_entr(part, share) + rel_entr(1.0 - part, 1.0 - share))
    single = 2.0 * math.exp(-float(exponent.max())) * int(is_rare.sum())
    return min(1.0, 2.0 * pooled, 2.0 * single)


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 2 or not x.sum() or not y.sum():  # noqa: PLR2004 (one category compares nothing)
        return 1.0
    found = squared_association(x / x.sum(), y / y.sum(), int(x.sum()), int(y.sum()))
    return float(chdtrc(len(x) - 1, found.value * float(x.sum() + y.sum())))


def squared_association(p: NDArray[np.float64], q: NDArray[np.float64], n_p: int, n_q: int) -> Slopes:
    """V squared = chi-square / N of shares p and q, both (k,), where every category occurs in at least one sample."""
    a, b = n_p / (n_p + n_q), n_q / (n_p + n_q)
    mean, gap = a * p + b * q, p - q
    ratio = gap / mean
    value = min(1.0, float(a * b * (gap @ ratio)))
    by_p, by_q = a * b * ratio * (2.0 - a * ratio), -a * b * ratio * (2.0 + b * ratio)
    return Slopes(value=value, by_p=by_p, by_q=by_q, curvature=a * b, bias=a * b * (len(p) - 1) * (1.0 / n_p + 1.0 / n_q))
