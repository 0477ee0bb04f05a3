"""How often a class came true at each probability that was given for it: ROC AUC and calibration from sums over fixed bins."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from detectors.losses import confidence
from detectors.sketches.counts import category_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

BINS_N = 200
"""Equal in the logit, which is cut at -10 and 10: a tenth each, so .025 of probability in the middle and ever less at the ends."""
MOST_BINNED = 48
"""(column, group, class) that are kept; `dropped` says that some are missing."""
ANSWER = ""
"""Stands for the class that was answered, whichever it was: its probability is the confidence, "true" is a right answer."""
_EDGE = 10.0
_VERSION = 1
_SIZE = struct.Struct("<II")
_SUMS = 7


class ScoreCell(NamedTuple):
    """Whose probability. Column "" and group "" = all pairs."""

    column: str
    group: str
    label: str
    """A class, or `ANSWER`."""


class Bin(NamedTuple):
    """Columns of the sums: w weight, y 1 if the class came true, p its probability, r = y - p. Each of shape (bins,)."""

    w: Floats
    wy: Floats
    wr: Floats
    w2: Floats
    w2y: Floats
    w2r: Floats
    w2rr: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreBins:
    """A commutative monoid over labelled pairs with scores: merge equals one pass up to rounding. Cost: 11 KB a cell, 48 cells at most."""

    kind: ClassVar[str] = "calibration"

    cells: Mapping[ScoreCell, Floats] = field(default_factory=lambda: MappingProxyType({}))
    """Sums, shape (bins, 7), columns as in `Bin`."""
    n: int = 0
    """Pairs with scores."""
    dropped: int = 0
    """Cells that were left out somewhere."""

    def bins(self, label: str, column: str = "", group: str = "") -> Bin | None:
        """Of one class; None without a pair."""
        found = self.cells.get(ScoreCell(column, group, label))
        return None if found is None else Bin(*found.T)

    def groups(self, column: str) -> list[str]:
        """Groups of a column that have bins, sorted."""
        return sorted({cell.group for cell in self.cells if cell.column == column})

    @classmethod
    def of(cls, pairs: Pairs, labels: Sequence[str], w: Floats) -> Self:
        """Every class and the answer over all pairs; in each group the last class (the positive one) and the answer."""
        if pairs.scores is None or not len(labels):
            return cls()
        answered = _answer(pairs, labels)
        n = int(np.isfinite(answered[0]).sum())
        found = {ScoreCell("", "", ANSWER): binned(*answered, w)}
        per_class = {label: (pairs.scores[:, j], pairs.label == label) for j, label in enumerate(labels)}
        found |= {ScoreCell("", "", label): binned(p, y, w) for label, (p, y) in per_class.items()}
        for column, values in pairs.groups.items():
            for group in sorted({g for g in values.tolist() if g is not None}):
                rows = values == group
                for label, (p, y) in ((ANSWER, answered), (labels[-1], per_class[labels[-1]])):
                    found[ScoreCell(column, category_name(group), label)] = binned(p[rows], y[rows], w[rows])
        return cls().merge(cls(cells={cell: sums for cell, sums in found.items() if sums.any()}, n=n))

    def merge(self, other: Self) -> Self:
        """Both together."""
        both = dict(self.cells)
        for cell, sums in other.cells.items():
            both[cell] = both[cell] + sums if cell in both else sums
        names = sorted(both) if len(both) <= MOST_BINNED else sorted(sorted(both, key=_order)[:MOST_BINNED])
        return type(self)(
            cells=MappingProxyType({name: both[name] for name in names}),
            n=self.n + other.n,
            dropped=self.dropped + other.dropped + len(both) - len(names),
        )

    def to_bytes(self) -> bytes:
        """A JSON head (cells and their non-empty bins), then the sums of those bins as doubles."""
        used = {cell: np.flatnonzero(sums.any(axis=1)) for cell, sums in self.cells.items()}
        head = json.dumps([self.n, self.dropped, [[*cell, rows.tolist()] for cell, rows in used.items()]], separators=(",", ":")).encode()
        body = b"".join(self.cells[cell][rows].astype("<f8").tobytes() for cell, rows in used.items())
        return bytes([_VERSION]) + _SIZE.pack(len(head), len(body)) + head + body

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on bytes that are no score bins."""
        start = 1 + _SIZE.size
        if len(data) < start or data[0] != _VERSION or sum(_SIZE.unpack(data[1:start])) != len(data) - start:
            raise ValueError(f"not score bins of version {_VERSION}: {len(data)} bytes")
        head = start + _SIZE.unpack(data[1:start])[0]
        try:
            n, dropped, rows = json.loads(data[start:head])
            sums = np.frombuffer(data[head:], dtype="<f8").reshape(-1, _SUMS)
            cells, at = {}, 0
            for column, group, label, used in rows:
                dense = np.zeros((BINS_N, _SUMS))
                dense[np.asarray(used, dtype=np.int64)] = sums[at : at + len(used)]
                cells[ScoreCell(str(column), str(group), str(label))] = dense
                at += len(used)
        except (IndexError, KeyError, RecursionError, TypeError, ValueError) as e:
            raise ValueError(f"not score bins: {e}") from e
        if (
            at != len(sums)
            or not np.isfinite(sums).all()
            or len(cells) > MOST_BINNED
            or any(type(x) is not int or x < 0 for x in (n, dropped))
        ):
            raise ValueError("not score bins: a figure is not finite or no natural number, or something is left over")
        return cls(cells=MappingProxyType(cells), n=n, dropped=dropped)


def bin_of(p: Floats) -> NDArray[np.int64]:
    """Bin of each probability, shape (n,)."""
    with np.errstate(divide="ignore"):
        logit = np.log(p) - np.log1p(-p)
    return np.asarray(np.clip((logit + _EDGE) * (BINS_N / (2.0 * _EDGE)), 0, BINS_N - 1), dtype=np.int64)


def binned(p: Floats, y: NDArray[np.bool_], w: Floats) -> Floats:
    """Sums over the pairs whose p is given, shape (bins, 7)."""
    given = np.isfinite(p)
    p, hit, w = np.clip(p[given], 0.0, 1.0), y[given].astype(np.float64), w[given]
    at, r, w2 = bin_of(p), hit - p, w * w
    return np.stack([np.bincount(at, v, BINS_N) for v in (w, w * hit, w * r, w2, w2 * hit, w2 * r, w2 * r * r)], axis=1)


def _answer(pairs: Pairs, labels: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
    """(probability of the class that was answered, whether it was right); NaN where it is not one of the labels."""
    return confidence(pairs, labels), np.asarray(pairs.predicted == pairs.label, dtype=np.bool_)


def _order(cell: ScoreCell) -> tuple[bool, bytes]:
    """Those over all pairs first, then by hash: a fixed total order, so that keeping the first ones is associative."""
    return bool(cell.column), hashlib.blake2b(json.dumps(cell).encode(), digest_size=16).digest()
