"""What R2 and its interval need of a regression's pairs: weighted sums of powers of the truth, alone and times the squared error."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_VERSION = 1
_SHAPE = (2, 3, 5)
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """A commutative monoid over pairs of numbers: merge equals one pass up to rounding.

    Sums are kept about a centre, the weighted mean of the truth, so that a large offset costs no digits; merging moves both parts to the
    common centre by the binomial theorem. Cost: 33 numbers.
    """

    kind: ClassVar[str] = "errors"

    n: int = 0
    centre: float = 0.0
    sums: Floats = field(default_factory=lambda: np.zeros(_SHAPE))
    """[i, j, k]: sum of w^(i + 1) e^(2 j) (y - centre)^k; w weight, e error, y truth. Exact for k <= 4 - 2 j, else unused."""

    @classmethod
    def of(cls, predicted: Floats, value: Floats, w: Floats) -> Self:
        """Of answers, truths and weights, shape (n,); all finite. Clipped to the range of float32, so that no power overflows."""
        if not len(value):
            return cls()
        y = np.clip(value, -_LARGEST, _LARGEST)
        squares = np.clip(predicted - value, -_LARGEST, _LARGEST) ** 2
        centre = float(w @ y / w.sum())
        weights = np.stack([w, w * w])  # (2, n)
        bent = np.stack([np.ones_like(y), squares, squares**2])  # (3, n)
        powers = (y - centre) ** np.arange(5)[:, None]  # (5, n)
        sums = np.einsum("in,jn,kn->ijk", weights, bent, powers)
        return cls(n=len(y), centre=centre, sums=_used(sums))

    def merge(self, other: Self) -> Self:
        """Both together."""
        if not self.n or not other.n:
            return other if not self.n else self
        a, b = self.sums[0, 0, 0], other.sums[0, 0, 0]
        centre = float((a * self.centre + b * other.centre) / (a + b))
        sums = _moved(self.sums, self.centre - centre) + _moved(other.sums, other.centre - centre)
        return type(self)(n=self.n + other.n, centre=centre, sums=sums)

    def about_mean(self) -> tuple[Floats, Floats]:
        """(sums of w ..., sums of w^2 ...) about the weighted mean of the truth, shape (3, 5) each: powers of e^2, powers of y - mean."""
        mean = self.sums[0, 0, 1] / self.sums[0, 0, 0]
        moved = _moved(self.sums, -float(mean))
        return moved[0], moved[1]

    def to_bytes(self) -> bytes:
        """257 bytes, versioned."""
        numbers = np.concatenate([[float(self.n), self.centre], self.sums.ravel()])
        return bytes([_VERSION]) + numbers.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on anything that `to_bytes` cannot have written."""
        size = 1 + 8 * (2 + int(np.prod(_SHAPE)))
        if len(data) != size or data[0] != _VERSION:
            raise ValueError(f"not regression sums of version {_VERSION}: {len(data)} bytes; they have {size}")
        numbers = np.frombuffer(data[1:], dtype="<f8").astype(np.float64)
        if not np.isfinite(numbers).all() or numbers[0] < 0 or numbers[0] != int(numbers[0]):
            raise ValueError("not regression sums: a figure is not finite, or the count is no natural number")
        return cls(n=int(numbers[0]), centre=float(numbers[1]), sums=numbers[2:].reshape(_SHAPE))


def _used(sums: Floats) -> Floats:
    """Zero where e^(2 j) (y - centre)^k is not needed: those grow beyond all bounds."""
    for j in range(_SHAPE[1]):
        sums[:, j, 5 - 2 * j :] = 0.0
    return np.asarray(sums, dtype=np.float64)


def _moved(sums: Floats, by: float) -> Floats:
    """The same sums about a centre that is lower by `by`: (y - c + by)^k by the binomial theorem."""
    pascal = np.array([[comb(k, i) * by ** (k - i) if i <= k else 0.0 for i in range(5)] for k in range(5)])  # (k, i)
    return _used(np.einsum("ki,abi->abk", pascal, sums))
