"""How many of so many: the smallest of all sketches."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LAYOUT = struct.Struct("<BQQ")  # version, n, k
_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Hits:
    """A commutative monoid over trials: k hits in n. Merge equals one pass exactly. Cost: 17 bytes."""

    kind: ClassVar[str] = "hits"

    n: int = 0
    k: int = 0

    def __post_init__(self) -> None:
        """More hits than trials are none."""
        if not 0 <= self.k <= self.n:
            raise ValueError(f"hits must be in 0..{self.n}, got {self.k}")

    def add(self, values: NDArray[np.bool_]) -> Self:
        """Take in trials, shape (n,), True = hit."""
        return type(self)(n=self.n + len(values), k=self.k + int(np.count_nonzero(values)))

    def merge(self, other: Self) -> Self:
        """Both together."""
        return type(self)(n=self.n + other.n, k=self.k + other.k)

    def to_bytes(self) -> bytes:
        """17 bytes, versioned."""
        return _LAYOUT.pack(_VERSION, self.n, self.k)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on anything that `to_bytes` cannot have written."""
        if len(data) != _LAYOUT.size or data[0] != _VERSION:
            raise ValueError(f"not hits of version {_VERSION}: {len(data)} bytes; they have {_LAYOUT.size}")
        _, n, k = _LAYOUT.unpack(data)
        return cls(n=n, k=k)
