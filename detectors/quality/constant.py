"""A column that stands still: every value of a window is the same, though the reference's are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.drift.one_look import OneLookOfColumn
from detectors.registry import register
from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.ranks import reference_radius
from detectors.sketches.counts import Counts
from detectors.sketches.moments import Moments
from detectors.sketches.quantiles import Quantiles
from detectors.types import Eats

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class ConstantState:
    """The most frequent value of the reference."""

    bound: float
    """No value has a larger share, wrong with probability <= delta; 1 without a reference."""
    n: int


@register("constant")
@dataclass(frozen=True, kw_only=True)
class Constant(OneLookOfColumn):
    """Whether a numeric or category column has one value only: a sensor that hangs, a default that took over.

    Value: share of the most frequent value. n independent records are all of one value with sum p^n <= b^(n-1), where no value's share is
    above b: the largest share in the reference plus twice the radius of Dvoretzky, Kiefer & Wolfowitz. That is the p-value of a window
    with one value; any other window has p = 1. Missing values are left out. Lengths speak for texts, so texts are not looked at.
    """

    delta: float = 0.001
    """Chance that the bound from the reference fails."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})
    guarantee: ClassVar[str] = "P(p <= alpha) <= alpha + delta at one look, for any n"
    assumption: ClassVar[str] = "records independent, of the window and of the reference"
    cost: ClassVar[str] = "O(points of the sketch)"
    source: ClassVar[str] = "Massart 1990 (radius); Clopper & Pearson 1934 (interval)"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")

    def start(self, reference: Reference) -> ConstantState:
        """The largest share of a value."""
        values = reference.columns.get(self.column, np.empty(0))
        kept = [v for v in values.tolist() if v is not None and v == v]  # noqa: PLR0124 (NaN is not itself)
        if not kept:
            return ConstantState(bound=1.0, n=0)
        _, counts = np.unique(np.asarray(kept), return_counts=True)
        return ConstantState(bound=min(1.0, float(counts.max()) / len(kept) + 2.0 * reference_radius(len(kept), self.delta)), n=len(kept))

    def step(self, state: ConstantState, data: Window) -> tuple[ConstantState, Verdict]:
        """One look at a window."""
        k, n, error = _most_frequent(data, self.column)
        if min(n, state.n) < self.min_n:
            because = f"{self.column}: {n} values in the window, {state.n} in the reference; both need {self.min_n}"
            return state, self.unknown((0.0, 0.0, 1.0), n, because)
        p = state.bound ** (n - 1) if k == n else 1.0
        low, high = float(lower_share(k, n, self.alpha / 2.0)) - error, float(upper_share(k, n, self.alpha / 2.0)) + error
        figure = (k / n, max(0.0, low), min(1.0, high))
        says = "all values are the same" if k == n else f"the most frequent value has {k / n:.1%}"
        because = f"{self.column}: {says}, of {n}; in the reference no value has more than {state.bound:.1%}, p = {p:.2g}"
        return state, self.told(p, figure, n, because)


def _most_frequent(window: Window, column: str) -> tuple[int, int, float]:
    """How often the most frequent value came, all values, how far that share may be off; of numbers by the sketch unless all are one."""
    sketches = window.sketches.get(column, {})
    if isinstance(counts := sketches.get("counts"), Counts):
        return max(counts.counts.values(), default=0), counts.n, 0.0
    moments, quantiles = sketches.get("moments", Moments()), sketches.get("quantiles", Quantiles())
    if not moments.n or moments.low == moments.high:
        return moments.n, moments.n, 0.0
    _, shares = quantiles.points()
    k = min(moments.n - 1, max(1, round(float(np.diff(shares, prepend=0.0).max()) * moments.n)))
    return k, moments.n, 2.0 * quantiles.rank_error
