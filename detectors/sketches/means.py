"""Weighted means of what each labelled pair cost or earned, of all and of each group: a loss, a squared error, a judged quality."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from detectors.sketches.counts import category_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_MEANS = 1000
"""More cells than that are not kept: `dropped` says how many pairs are missing in them."""
_VERSION = 1


class MeanCell(NamedTuple):
    """What is averaged. Column "" and group "" = all pairs; otherwise one group of one column (bare name, "age_band")."""

    column: str
    group: str
    what: str


class Sums(NamedTuple):
    """Of the pairs' weights w (1 / inclusion probability) and values x."""

    n: float = 0.0
    w: float = 0.0
    w2: float = 0.0
    wx: float = 0.0
    w2x: float = 0.0
    w2xx: float = 0.0

    @property
    def mean(self) -> float:
        """Weighted mean (Hajek's estimator); 0 without pairs."""
        return self.wx / self.w if self.w > 0.0 else 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean: root of the sum of w^2 (x - mean)^2 over the sum of w, with n / (n - 1)."""
        if self.n <= 1 or self.w <= 0.0:
            return math.inf
        spread = max(0.0, self.w2xx - 2.0 * self.mean * self.w2x + self.mean**2 * self.w2)
        return math.sqrt(spread * self.n / (self.n - 1.0)) / self.w

    def scaled(self, low: float, unit: float) -> Self:
        """The same of (x - low) / unit."""
        wx = (self.wx - low * self.w) / unit
        w2x, w2xx = (self.w2x - low * self.w2) / unit, (self.w2xx - 2.0 * low * self.w2x + low**2 * self.w2) / unit**2
        return type(self)(n=self.n, w=self.w, w2=self.w2, wx=wx, w2x=w2x, w2xx=w2xx)

    @classmethod
    def of(cls, x: Floats, w: Floats) -> Self:
        """Of values and weights, shape (n,)."""
        w2 = w * w
        return cls(*map(float, (len(x), w.sum(), w2.sum(), w @ x, w2 @ x, w2 @ (x * x))))


def _order(cell: MeanCell) -> tuple[bool, bytes]:
    """Those over all pairs first, then by hash: a fixed total order, so that keeping the first ones is associative."""
    return bool(cell.column), hashlib.blake2b(json.dumps(cell).encode(), digest_size=16).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """A commutative monoid over labelled pairs: merge equals one pass up to rounding. Cost: six numbers a cell, at most 1,000 cells."""

    kind: ClassVar[str] = "means"

    cells: Mapping[MeanCell, Sums] = field(default_factory=lambda: MappingProxyType({}))
    dropped: int = 0

    def sums(self, what: str, column: str = "", group: str = "") -> Sums:
        """Of all or of one group; nothing is all zeros."""
        return self.cells.get(MeanCell(column, group, what), Sums())

    def groups(self, column: str) -> list[str]:
        """Groups of a column that have a mean, sorted."""
        return sorted({cell.group for cell in self.cells if cell.column == column})

    @classmethod
    def of(cls, values: Mapping[str, Floats], groups: Mapping[str, NDArray[np.object_]], w: Floats) -> Self:
        """Name -> values, NaN = this pair has none, shape (n,). A pair of unknown group counts in no group of that column."""
        found: dict[MeanCell, Sums] = {}
        inside: list[tuple[str, str, Any]] = [("", "", slice(None)), *_members(groups)]
        for what, x in values.items():
            for column, group, rows in inside:
                kept = np.isfinite(x[rows])
                if kept.any():
                    found[MeanCell(column, group, what)] = Sums.of(x[rows][kept], w[rows][kept])
        return cls().merge(cls(cells=found))

    def merge(self, other: Self) -> Self:
        """Both together."""
        both = dict(self.cells)
        for cell, sums in other.cells.items():
            both[cell] = Sums(*(a + b for a, b in zip(both[cell], sums, strict=True))) if cell in both else sums
        names = sorted(both) if len(both) <= MOST_MEANS else sorted(sorted(both, key=_order)[:MOST_MEANS])
        surplus = sum(int(s.n) for s in both.values()) - sum(int(both[name].n) for name in names) if len(names) < len(both) else 0
        return type(self)(cells=MappingProxyType({name: both[name] for name in names}), dropped=self.dropped + other.dropped + surplus)

    def to_bytes(self) -> bytes:
        """Compact JSON behind one byte of version."""
        document = [self.dropped, [[*cell, *sums] for cell, sums in self.cells.items()]]
        return bytes([_VERSION]) + json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on bytes that are no means."""
        if not data or data[0] != _VERSION:
            raise ValueError(f"not means of version {_VERSION}: {len(data)} bytes")
        try:
            dropped, rows = json.loads(data[1:])
            cells = {MeanCell(*row[:3]): Sums(*map(float, row[3:])) for row in rows}
        except (IndexError, KeyError, RecursionError, TypeError, ValueError) as e:
            raise ValueError(f"not means: {e}") from e
        if type(dropped) is not int or dropped < 0 or len(rows) > MOST_MEANS or any(type(x) is not str for cell in cells for x in cell):
            raise ValueError("not means: a count is no natural number, a name is no text, or there are too many cells")
        if any(len(row) != 3 + len(Sums._fields) for row in rows) or not all(map(_is_sound, cells.values())):
            raise ValueError("not means: a sum is missing, or the sums contradict themselves")
        return cls(cells=MappingProxyType(cells), dropped=dropped)


def _members(groups: Mapping[str, NDArray[np.object_]]) -> list[tuple[str, str, NDArray[np.int64]]]:
    """(column, group, rows of its members) of every group that occurs."""
    found = []
    for column, values in groups.items():
        rows: dict[str, list[int]] = {}
        for i, group in enumerate(values.tolist()):
            if group is not None:
                rows.setdefault(category_name(group), []).append(i)
        found += [(column, group, np.asarray(members, dtype=np.int64)) for group, members in rows.items()]
    return found


def _is_sound(sums: Sums) -> bool:
    return all(map(math.isfinite, sums)) and sums.n >= 0.0 and sums.w >= 0.0 and sums.w2 >= 0.0 and sums.w2xx >= 0.0
