"""R2: the share of the truth's spread that the answers explain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from scipy.special import ndtri

from detectors.performance.figure import Figure, Good
from detectors.registry import register
from detectors.sketches.errors import Errors
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.sketches.confusion import Confusion

_WIDEST = Figure(value=0.0, low=-1e9, high=1.0, n=0)


@register("r2")
@dataclass(frozen=True, kw_only=True)
class R2(Good):
    """1 - A / V, A the mean squared error, V the variance of the truth: at most 1, below 0 when the mean would have done better.

    Its error by the delta method: the influence of a pair is A/V^2 ((y - mean)^2 - V) - (e^2 - A)/V. The interval is that of ln(1 - R2).
    Heavy tails make it too narrow, as that of `rmse`.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})
    cost: ClassVar[str] = "O(1) of 33 sums"
    source: ClassVar[str] = "Kvalseth 1985, Cautionary Note about R2, for the figure; delta method for the interval"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(minimum=0.8)

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of numbers alone)
        """Of merged sketches."""
        found = judged.get("errors")
        return r2_figure(found, self.alpha) if isinstance(found, Errors) and found.n else _WIDEST


def r2_figure(found: Errors, alpha: float) -> Figure:
    """R2 with its interval."""
    w, w2 = found.about_mean()  # (3, 5) each: powers of e^2, powers of (y - mean)
    total = w[0, 0]
    a, v = w[1, 0] / total, w[0, 2] / total
    if v <= 0.0:
        return Figure(value=0.0, low=-1e9, high=1.0, n=found.n, lacks="all true values are equal: there is no spread to explain")
    value = float(1.0 - a / v)
    b = a / v**2  # influence: b (y^2 - v) - (e^2 - a)/v
    squares = b**2 * (w2[0, 4] - 2 * v * w2[0, 2] + v**2 * w2[0, 0]) + (w2[2, 0] - 2 * a * w2[1, 0] + a**2 * w2[0, 0]) / v**2
    cross = w2[1, 2] - a * w2[0, 2] - v * w2[1, 0] + a * v * w2[0, 0]
    error = math.sqrt(max(0.0, squares - 2.0 * b / v * cross)) / total
    if a <= 0.0:
        return Figure(value=1.0, low=-1e9, high=1.0, n=found.n, lacks="all answers are exact: how far others may be off is not known")
    reach = min(float(ndtri(1.0 - alpha / 2.0)) * error / (a / v), 20.0)
    return Figure(value=value, low=max(-1e9, float(1.0 - a / v * math.exp(reach))), high=float(1.0 - a / v * math.exp(-reach)), n=found.n)
