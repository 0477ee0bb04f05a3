"""Numbers outside the range that is fine: the user's own bounds, or the reference's smallest and largest number and some way beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, Share, Trials, values_of
from detectors.registry import register
from detectors.sequential.interval import upper_share
from detectors.sketches.moments import Moments
from detectors.sketches.quantiles import Quantiles
from detectors.types import ColumnKind, Eats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Window


@dataclass(frozen=True, kw_only=True)
class _OutOfRange(Fault):
    """A bound that the user gave is held to the share that the reference has beyond it.

    The reference's own range says how much lies beyond it without any: a further number falls outside the range of n independent ones
    with a chance that is Beta(2, n - 1) distributed (outside one end: Beta(1, n)), whatever the distribution.
    """

    column: str
    """Subject, "input.age"."""
    minimum: float | None = None
    """Least number that is fine. None = the reference's smallest, less `range_tolerance`."""
    maximum: float | None = None
    """Largest number that is fine. None = the reference's largest, and `range_tolerance`."""
    range_tolerance: float = 0.1
    """How far beyond the reference's range is still fine, as a share of that range."""

    noun: ClassVar[str] = "are out of range"
    trial: ClassVar[str] = "numbers"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    def known(self, reference: Reference) -> Known:
        """Range and bound."""
        values = reference.columns.get(self.column)
        if values is None or reference.kinds.get(self.column) is not ColumnKind.NUMERIC:
            return UNKNOWN
        kept = values[np.isfinite(values)]
        if not len(kept):
            return UNKNOWN
        low, high, n = float(kept.min()), float(kept.max()), len(kept)
        beyond = self.range_tolerance * (high - low)
        learned = (self.minimum is None) + (self.maximum is None)  # ends
        low = low - beyond if self.minimum is None else self.minimum
        high = high + beyond if self.maximum is None else self.maximum
        outside, parts = int(((kept < low) | (kept > high)).sum()), 1 + (learned == 1)
        bound = float(upper_share(learned - 1, n, self.delta / parts)) if learned else 0.0
        bound += float(upper_share(outside, n, self.delta / parts)) if learned < 2 else 0.0  # noqa: PLR2004 (a range has two ends)
        return Known(bound=min(1.0, bound), n=n, is_numeric=True, low=low, high=high)

    def in_window(self, known: Known, window: Window) -> Trials:
        """By the sketch of quantiles; exactly none when the smallest and the largest number are inside."""
        sketches = window.sketches.get(self.column, {})
        moments, quantiles = sketches.get("moments", Moments()), sketches.get("quantiles", Quantiles())
        if not moments.n or (moments.low >= known.low and moments.high <= known.high):
            return Trials(0, moments.n)
        values, shares = quantiles.points()
        at = np.concatenate([[0.0], shares])
        below = at[np.searchsorted(values, float(np.float32(known.low)), side="left")]
        above = 1.0 - at[np.searchsorted(values, float(np.float32(known.high)), side="right")]
        k = min(moments.n, max(1, round(float(below + above) * moments.n)))
        return Trials(k, moments.n, 2.0 * quantiles.rank_error)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:
        """One by one."""
        values = values_of(known, data, self.column)
        kept = values[np.isfinite(values)] if known.is_numeric else values[:0]
        return Trials(int(((kept < known.low) | (kept > known.high)).sum()), len(kept), tail=tail)


@register("out_of_range")
@dataclass(frozen=True, kw_only=True)
class OutOfRange(_OutOfRange, Share):
    """Share of a column's numbers that are out of range."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age", minimum=20.0, maximum=70.0)


@register("out_of_range_rise")
@dataclass(frozen=True, kw_only=True)
class OutOfRangeRise(_OutOfRange, Rise):
    """More of a column's numbers are out of range than is fine: an e-detector."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age", minimum=20.0, maximum=70.0, alpha=0.01)
