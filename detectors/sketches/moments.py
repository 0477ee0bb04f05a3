"""Count, mean, spread, range and missing values of a numeric column."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LAYOUT = struct.Struct("<BQQdddd")  # version, n, missing, mean, m2, low, high
_VERSION = 1
_LARGEST = float(np.finfo(np.float32).max)


def finite(values: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """The values that are numbers, clipped to the range of float32 (so that no square overflows), and how many are missing.

    NaN and infinities are missing. `values` has shape (n,); the result (n - missing,).
    """
    numbers = np.asarray(values, dtype=np.float64)  # (n,)
    kept = numbers[np.isfinite(numbers)]
    return np.clip(kept, -_LARGEST, _LARGEST), len(numbers) - len(kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """A commutative monoid over numbers; the empty one has low = inf and high = -inf.

    Merge: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    Equals one pass up to rounding. Cost: 49 bytes.
    """

    kind: ClassVar[str] = "moments"

    n: int = 0
    """Values that are numbers."""
    missing: int = 0
    """NaN, None and infinities."""
    mean: float = 0.0
    m2: float = 0.0
    """Sum of squared deviations from the mean."""
    low: float = math.inf
    """Smallest value."""
    high: float = -math.inf
    """Largest value."""

    @property
    def variance(self) -> float:
        """With n - 1; 0 for fewer than two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else 0.0

    def add(self, values: NDArray[Any]) -> Self:
        """Take in numbers, shape (n,), NaN = missing."""
        kept, missing = finite(values)
        return self.merge(type(self).of(kept, missing=missing))

    @classmethod
    def of(cls, kept: NDArray[np.float64], *, missing: int = 0) -> Self:
        """Of numbers that are finite, shape (n,), as `finite` gives them."""
        if not len(kept):
            return cls(missing=missing)
        mean = float(kept.mean())
        apart = kept - mean
        return cls(n=len(kept), missing=missing, mean=mean, m2=float(np.dot(apart, apart)), low=float(kept.min()), high=float(kept.max()))

    def merge(self, other: Self) -> Self:
        """Both together."""
        missing = self.missing + other.missing
        if not self.n or not other.n:
            one = other if not self.n else self
            return type(self)(n=one.n, missing=missing, mean=one.mean, m2=one.m2, low=one.low, high=one.high)
        n = self.n + other.n
        delta = other.mean - self.mean
        return type(self)(
            n=n,
            missing=missing,
            mean=(self.n * self.mean + other.n * other.mean) / n,
            m2=self.m2 + other.m2 + delta * delta * (self.n * other.n / n),
            low=min(self.low, other.low),
            high=max(self.high, other.high),
        )

    def to_bytes(self) -> bytes:
        """49 bytes, versioned."""
        return _LAYOUT.pack(_VERSION, self.n, self.missing, self.mean, self.m2, self.low, self.high)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on anything that `to_bytes` cannot have written."""
        if len(data) != _LAYOUT.size or data[0] != _VERSION:
            raise ValueError(f"not moments of version {_VERSION}: {len(data)} bytes; they have {_LAYOUT.size}")
        _, n, missing, mean, m2, low, high = _LAYOUT.unpack(data)
        found = cls(n=n, missing=missing, mean=mean, m2=m2, low=low, high=high)
        is_sound = found == cls(missing=missing) if n == 0 else _is_sound(found)
        if not is_sound:
            raise ValueError(f"moments contradict themselves: {found}")
        return found


def _is_sound(found: Moments) -> bool:
    slack = 1e-9 * max(abs(found.low), abs(found.high))  # rounding of the mean
    return (
        all(abs(x) <= _LARGEST for x in (found.mean, found.low, found.high))
        and found.low - slack <= found.mean <= found.high + slack
        and 0.0 <= found.m2 < math.inf
    )
