"""The mean of embeddings in a kernel's feature space, by random Fourier features: what a two-sample test of them needs, in 1 KB a pane.

Rahimi & Recht, "Random features for large-scale kernel machines" (NeurIPS 2007). Vectors are scaled to length 1, so the widths of the
Gaussian kernels are the same for every encoder, and a pane can be summarised before any reference is known.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FREQUENCIES_N = 128
FEATURES_N = 2 * FREQUENCIES_N
BLOCKS_N = 64
"""Blocks are what a permutation test may exchange; beyond so many, small neighbours are joined."""

_RUN_N, _RUNS_N, _PART_N = 64, 8, 4096
_WIDTHS = (0.35, 0.7, 1.4)
_SEED = 20_071_203
_HEAD = struct.Struct("<BQI")  # version, missing, blocks
_VERSION = 1


def fourier_features(vectors: NDArray[Any]) -> Floats:
    """Cos and sin of random projections of unit vectors, (n, d) -> (n, FEATURES_N), each row of length 1.

    Inner products estimate the mean of three Gaussian kernels of widths .35, .7 and 1.4, within about .09 (one standard deviation). The
    frequencies are a function of d alone: the same in every process and for ever. A zero vector stays one.
    """
    numbers = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(numbers, axis=1, keepdims=True)
    angles = (numbers / np.where(length > 0.0, length, 1.0)) @ _frequencies(numbers.shape[1])
    return np.asarray(np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(FREQUENCIES_N))


@cache
def _frequencies(d: int) -> Floats:
    """Shape (d, FREQUENCIES_N)."""
    rng = np.random.default_rng([_SEED, d])
    return np.asarray(rng.normal(size=(d, FREQUENCIES_N)) / np.resize(_WIDTHS, FREQUENCIES_N))


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Fourier:
    """A commutative monoid over vectors: n and the sum of their features are exact, however merged; blocks are bookkeeping.

    `of` makes blocks of at least 64 vectors in their order, at most 8; a window of many panes has about one a pane. Cost: 1 KB a block; 10
    microseconds a vector of 384 numbers.
    """

    kind: ClassVar[str] = "fourier"

    sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Vectors in each block, shape (blocks,)."""
    sums: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, FEATURES_N), dtype=np.float32))
    """Sum of each block's features, shape (blocks, FEATURES_N)."""
    missing: int = 0
    """Rows without a vector."""

    @property
    def n(self) -> int:
        """Vectors."""
        return int(self.sizes.sum())

    @property
    def mean(self) -> Floats:
        """Of all features, shape (FEATURES_N,); 0 without vectors."""
        return np.asarray(self.sums.sum(axis=0, dtype=np.float64) / max(1, self.n))

    def add(self, values: NDArray[Any]) -> Self:
        """Take in vectors, shape (n, d); a row with a NaN is missing."""
        return self.merge(type(self).of(values))

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Vectors, shape (n, d), in their order; a row with a NaN is missing."""
        vectors = values[np.isfinite(values).all(axis=1)]
        if not len(vectors):
            return cls(missing=len(values))
        runs = np.array_split(vectors, max(1, min(_RUNS_N, len(vectors) // _RUN_N)))
        sums = np.stack([sum(fourier_features(part).sum(axis=0) for part in np.array_split(run, -(-len(run) // _PART_N))) for run in runs])
        sizes = np.array([len(run) for run in runs], dtype=np.int64)
        return cls(sizes=sizes, sums=sums.astype(np.float32), missing=len(values) - len(vectors))

    def merge(self, other: Self) -> Self:
        """Both together."""
        sizes, sums = np.concatenate([self.sizes, other.sizes]), np.concatenate([self.sums, other.sums])
        while len(sizes) > BLOCKS_N:
            i = int(np.argmin(sizes[:-1] + sizes[1:]))
            sums = np.concatenate([sums[:i], sums[i : i + 2].sum(axis=0, keepdims=True), sums[i + 2 :]])
            sizes = np.concatenate([sizes[:i], sizes[i : i + 2].sum(keepdims=True), sizes[i + 2 :]])
        return type(self)(sizes=sizes, sums=sums, missing=self.missing + other.missing)

    def to_bytes(self) -> bytes:
        """13 bytes and 1,032 a block, versioned."""
        return _HEAD.pack(_VERSION, self.missing, len(self.sizes)) + self.sizes.astype("<i8").tobytes() + self.sums.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on anything that `to_bytes` cannot have written."""
        if len(data) < _HEAD.size or data[0] != _VERSION:
            raise ValueError(f"not Fourier features of version {_VERSION}: {len(data)} bytes")
        _, missing, blocks = _HEAD.unpack_from(data)
        if blocks > BLOCKS_N or len(data) != _HEAD.size + blocks * (8 + 4 * FEATURES_N):
            raise ValueError(f"Fourier features of {blocks} blocks cannot have {len(data)} bytes")
        sizes = np.frombuffer(data, "<i8", blocks, _HEAD.size).astype(np.int64)
        sums = np.frombuffer(data, "<f4", offset=_HEAD.size + 8 * blocks).reshape(blocks, FEATURES_N).astype(np.float32)
        lengths = np.linalg.norm(sums.astype(np.float64), axis=1)
        if not bool(np.all((sizes > 0) & (lengths <= sizes * 1.001))):
            raise ValueError("Fourier features contradict their number of vectors")
        return cls(sizes=sizes, sums=sums, missing=missing)
