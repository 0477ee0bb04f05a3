"""Wasserstein distance of a numeric column: how far the average value has moved, in standard deviations of the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from detectors.drift.cells import Figure
from detectors.drift.distance import Distance
from detectors.registry import register
from detectors.sketches.moments import Moments
from detectors.sketches.quantiles import Quantiles
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from detectors.types import Reference, Verdict, Window

    Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A distribution function, as a sketch knows it."""

    values: NDArray[np.float64]
    """Points in order, shape (m,)."""
    shares: NDArray[np.float64]
    """Share at or below each, shape (m,)."""
    n: int
    error: float
    """Largest error of a share, from the sketch."""
    deviation: float
    """Standard deviation, exact."""
    kurtosis: float
    """Fourth moment over the squared variance, of the sketch: how well n numbers tell their deviation."""


@register("wasserstein")
@dataclass(frozen=True, kw_only=True)
class Wasserstein(Distance):
    """1-Wasserstein distance of one numeric column on KLL sketches, in standard deviations of the reference.

    Value: integral of |F(x) - G(x)| over x, / sigma, >= 0: a shift of every value by s is s / sigma. Missing values are left out. The
    standard deviation and not the quartiles' distance, because the sketch has it exactly and it is 0 only for a constant reference.

    Interval: the variance of the estimate is at most sigma_F^2 / n + sigma_G^2 / m (Efron & Stein: moving one value by d moves it by at
    most d / n); to this comes the error of sigma itself. The estimate's mean is at least the true distance (Jensen) and larger by at most
    sqrt(2/pi) integral sqrt(F (1 - F) / n + G (1 - G) / m). Each sketch moves a share by at most its rank error, and in the tails by no
    more than twice the share that is left there.
    """

    noun: ClassVar[str] = "Wasserstein distance in standard deviations"
    most: ClassVar[float] = 1e6
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.NUMERIC})
    assumption: ClassVar[str] = "records independent, fourth moment finite; asymptotic in n"
    cost: ClassVar[str] = "O(points of the sketches), about 2,500, whatever the window holds; no labels"
    source: ClassVar[str] = "Vallender 1974 (the integral); Efron & Stein 1981 (variance); KLL as in ks"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")

    def start(self, reference: Reference) -> Curve:
        """The reference's distribution function; empty when it has no such column."""
        return _curve(reference.sketches.get(self.column, {}))

    def step(self, state: Curve, data: Window) -> tuple[Curve, Verdict]:
        """One look at a window."""
        now = _curve(data.sketches.get(self.column, {}))
        if min(state.n, now.n) < self.min_n:
            return state, self.too_few(state.n, now.n)
        if state.deviation <= 0.0:
            return state, self.insufficient(now.n, "all numbers of the reference are the same: there is no deviation to measure in")
        return state, self.told(self.measured(state, now), n_before=state.n, n=now.n)

    def measured(self, before: Curve, now: Curve) -> Figure:
        """The distance and its interval."""
        grid = np.unique(np.concatenate([before.values, now.values]))
        widths = np.diff(grid)
        f, g = (_share_at(curve, grid[:-1]) for curve in (before, now))
        distance = float(np.abs(f - g) @ widths) / before.deviation
        chance = math.sqrt(2.0 / math.pi) * float(np.sqrt(f * (1.0 - f) / before.n + g * (1.0 - g) / now.n) @ widths)
        hidden = sum(float(np.minimum(curve.error, 2.0 * np.minimum(x, 1.0 - x)) @ widths) for curve, x in ((before, f), (now, g)))
        deviation = math.hypot(before.deviation / math.sqrt(before.n), now.deviation / math.sqrt(now.n))
        of_scale = distance * math.sqrt(max(0.0, before.kurtosis - 1.0) / (4.0 * before.n))
        spread = float(ndtri(1.0 - self.alpha / 2.0)) * (deviation / before.deviation + of_scale)
        low = distance - spread - (chance + hidden) / before.deviation
        high = distance + spread + hidden / before.deviation
        return Figure(min(self.most, distance), min(self.most, max(0.0, low)), min(self.most, high))


def _curve(sketches: Mapping[str, Any]) -> Curve:
    quantiles, moments = sketches.get("quantiles", Quantiles()), sketches.get("moments", Moments())
    values, shares = quantiles.points()
    weights = np.diff(shares, prepend=0.0)
    apart = values - float(weights @ values)
    variance = float(weights @ np.square(apart))
    kurtosis = float(weights @ np.square(np.square(apart))) / (variance * variance) if variance > 0.0 else 1.0
    deviation = math.sqrt(moments.variance)
    return Curve(values=values, shares=shares, n=quantiles.n, error=quantiles.rank_error, deviation=deviation, kurtosis=kurtosis)


def _share_at(curve: Curve, at: Floats) -> Floats:
    """Share at or below each of `at`, shape (len(at),)."""
    return np.concatenate([[0.0], curve.shares])[np.searchsorted(curve.values, at, side="right")]
