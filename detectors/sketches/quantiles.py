"""Quantiles and distribution function of a numeric column in about 12 KB, however many values: a KLL sketch.

Karnin, Lang & Liberty, "Optimal quantile approximation in streams" (FOCS 2016, arXiv:1603.05346), as implemented by Apache DataSketches.
"""

from __future__ import annotations

import struct
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from datasketches import kll_floats_sketch

from detectors.sketches.moments import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

K = 1024
"""Size: single-sided rank error .0027 (99th percentile of the largest error over all ranks), 12 KB. Exact up to about K values."""

_VERSION = 1
_HEAD = struct.Struct("<BBBBHBB")  # preamble ints, serial version, family, flags, k, m, unused
_FULL = struct.Struct("<QHBB")  # n, min_k, levels, unused
_FAMILY, _M, _MOST_LEVELS = 15, 8, 60
_EMPTY, _SORTED, _SINGLE = 1, 2, 4  # flags
_FULL_START, _SINGLE_BYTES = 20, 12


@dataclass(frozen=True, eq=False, slots=True)
class Quantiles:
    """A commutative monoid over numbers, within its stated rank error (merging does not add to it).

    Values are kept as float32: both sides of a comparison are rounded alike, so rank tests stay valid (ties make them conservative).
    DataSketches tosses its own coins: two passes over more than K values may differ within the error. Cost: 10 ns a value.
    """

    kind: ClassVar[str] = "quantiles"

    _sketch: Any = field(default_factory=lambda: kll_floats_sketch(K))
    _points: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """What `points` found: several detectors read one window."""

    @property
    def n(self) -> int:
        """Numbers taken in; missing values are not among them."""
        return int(self._sketch.n)

    @property
    def rank_error(self) -> float:
        """Largest error of any rank, in [0, 1], in 99 of 100 sketches; 0 while every value is still kept."""
        return float(self._sketch.normalized_rank_error(False)) if self._sketch.is_estimation_mode() else 0.0  # noqa: FBT003 (takes no keyword)

    def add(self, values: NDArray[Any]) -> Self:
        """Take in numbers, shape (n,); NaN and infinities are left out."""
        kept, _ = finite(values)
        return self.merge(type(self).of(kept))

    @classmethod
    def of(cls, kept: NDArray[np.float64]) -> Self:
        """Of numbers that are finite, shape (n,), as `finite` gives them."""
        fresh = kll_floats_sketch(K)
        fresh.update(np.sort(kept.astype(np.float32)))  # in order it takes them in a quarter of the time; its error holds for any order
        return cls(fresh)

    def merge(self, other: Self) -> Self:
        """Both together."""
        if not self.n or not other.n:
            return other if not self.n else self
        both = self._copy()
        both.merge(other._sketch)
        return type(self)(both)

    def quantiles(self, ranks: Sequence[float]) -> NDArray[np.float64]:
        """The smallest value with at least that share of all at or below it, for ranks in [0, 1], shape (len(ranks),).

        `ValueError` without data. (The library's own sorts the sketch in place, which a pure function must not.)
        """
        if not self.n:
            raise ValueError("an empty sketch has no quantiles; look at n first")
        values, shares = self.points()
        at = np.searchsorted(shares, np.asarray(ranks, dtype=np.float64) - 1e-12, side="left")
        return values[np.minimum(at, len(values) - 1)]

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The distribution function: kept values in order and the share of all values at or below each, both (m,), read-only."""
        if self._points is None:
            object.__setattr__(self, "_points", _distribution(self._sketch.serialize(), self.n))
        assert self._points is not None
        return self._points

    def to_bytes(self) -> bytes:
        """At most about 12 KB, versioned."""
        return bytes([_VERSION]) + bytes(self._sketch.serialize())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on anything that is no sound sketch (the library itself reads beyond its memory on some)."""
        if not data or data[0] != _VERSION:
            raise ValueError(f"not quantiles of version {_VERSION}: {len(data)} bytes")
        _refuse_unsound(data[1:])
        return cls(kll_floats_sketch.deserialize(data[1:]))

    def _copy(self) -> Any:  # noqa: ANN401 (the library ships no types)
        return copy(self._sketch)


@cache
def _capacity(levels: int) -> int:
    """Room for values in a sketch of so many levels: level h of L holds max(8, about K (2/3)^(L - h - 1))."""
    return sum(max(_M, _level_capacity(K, levels - h - 1)) for h in range(levels))


def _level_capacity(k: int, depth: int) -> int:
    if depth <= 30:  # noqa: PLR2004 (the library's own split, to stay in 64 bits)
        return ((k << 1 << depth) // int(3**depth) + 1) >> 1
    return _level_capacity(_level_capacity(k, depth // 2), depth - depth // 2)


def _layout(data: bytes) -> tuple[int, list[int], int]:
    """n, where each level starts (with the end appended), and where the items start, of a full sketch's bytes."""
    n, _, levels, _ = _FULL.unpack_from(data, _HEAD.size)
    starts = [*struct.unpack_from(f"<{levels}I", data, _FULL_START), _capacity(levels)]
    return n, starts, _FULL_START + 4 * levels + 8


def _items(data: bytes) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Kept values and how many each stands for, both (m,), of a sound sketch's bytes."""
    flags = data[3]
    if flags & _EMPTY:
        return np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64)
    if flags & _SINGLE:
        return np.frombuffer(data, dtype="<f4", offset=_HEAD.size), np.ones(1, dtype=np.int64)
    _, starts, offset = _layout(data)
    sizes = np.diff(starts)
    return np.frombuffer(data, dtype="<f4", offset=offset), np.repeat(np.int64(1) << np.arange(len(sizes)), sizes)


def _distribution(data: bytes, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`Quantiles.points` of a sound sketch's bytes."""
    items, weights = _items(data)
    order = np.argsort(items, kind="stable")
    values, mass = items[order], np.cumsum(weights[order])
    is_last = np.append(values[1:] != values[:-1], len(values) > 0)[: len(values)]  # of equal ones
    found = values[is_last].astype(np.float64), mass[is_last] / max(1, n)
    for array in found:
        array.flags.writeable = False
    return found


def _refuse_unsound(data: bytes) -> None:
    """`ValueError` unless the bytes are a KLL sketch of floats with k = K whose levels, weights and order agree with its n."""
    if len(data) < _HEAD.size:
        raise ValueError(f"{len(data)} bytes are too few for a KLL sketch")
    ints, version, family, flags, k, m, _ = _HEAD.unpack_from(data)
    if (family, k, m) != (_FAMILY, K, _M) or flags & ~(_EMPTY | _SORTED | _SINGLE):
        raise ValueError(f"not a KLL sketch of k = {K}: family {family}, k {k}, m {m}, flags {flags}")
    shape = (ints, version, flags & _EMPTY, flags & _SINGLE)
    if shape == (2, 1, _EMPTY, 0) and len(data) == _HEAD.size:
        return
    is_single = shape == (2, 2, 0, _SINGLE) and len(data) == _SINGLE_BYTES
    if not is_single and (shape != (5, 1, 0, 0) or len(data) < _FULL_START):
        raise ValueError(f"not a KLL sketch: preamble {ints}, version {version}, flags {flags}, {len(data)} bytes")
    if not is_single:
        _refuse_unsound_levels(data, is_sorted=bool(flags & _SORTED))
    if not np.isfinite(_items(data)[0]).all():
        raise ValueError("a KLL sketch of numbers holds one that is none")


def _refuse_unsound_levels(data: bytes, *, is_sorted: bool) -> None:
    n, min_k, levels, _ = _FULL.unpack_from(data, _HEAD.size)
    if not 1 <= levels <= _MOST_LEVELS or min_k != K or len(data) < _FULL_START + 4 * levels + 8:
        raise ValueError(f"a KLL sketch of {levels} levels, min_k {min_k} and {len(data)} bytes contradicts itself")
    _, starts, offset = _layout(data)
    sizes = [b - a for a, b in pairwise(starts)]
    if min(sizes) < 0 or len(data) != offset + 4 * (starts[-1] - starts[0]) or sum(s << h for h, s in enumerate(sizes)) != n:
        raise ValueError("the levels of a KLL sketch contradict its n or its length")
    low, high = struct.unpack_from("<2f", data, offset - 8)
    items = np.frombuffer(data, dtype="<f4", offset=offset)
    if not bool(np.all((items >= low) & (items <= high))):
        raise ValueError("a KLL sketch holds values outside its own range")
    falls = np.flatnonzero(items[1:] < items[:-1]) + 1  # places of values below the one before
    unordered = falls[falls > (0 if is_sorted else sizes[0])]
    if not set(unordered.tolist()) <= {start - starts[0] for start in starts}:
        raise ValueError("a level of a KLL sketch is out of order")
