"""How often a class came true at each probability that was given for it: ROC AUC and calibration from sums over fixed bins."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from detectors.sketches.counts import category_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

BINS_N = 200
"""Equal in the logit, which is cut at -10 and 10: a tenth each, so .025 of probability in the middle and ever less at the ends."""
MOST_BINNED = 48
"""(column, group, class) that are kept; `dropped` says that some are missing."""
MOST_ANSWERED = 20
"""Classes whose own answers are kept beside these; of more of them none."""
ANSWER = ""
"""Stands for the class that was answered, whichever it was: its probability is the confidence, "true" is a right answer."""
_ANSWERED = "answered"
"""The group, of no column, of the pairs in which the class was answered: together those of `ANSWER`."""
_EDGE = 10.0
_VERSION = 1
_SIZE = struct.Struct("<II")
_SUMS = 7


class ScoreCell(NamedTuple):
    """Whose probability. Column "" and group "" = all pairs; column "" and group "answered" = those with this class as their answer."""

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
    """A commutative monoid over labelled pairs with scores: merge equals one pass up to rounding. Cost: 11 KB a cell, 68 cells at most."""

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

    def answered(self, label: str) -> Bin | None:
        """Of one class in the pairs in which it was answered; None without one."""
        return self.bins(label, group=_ANSWERED)

    def knows_answers(self) -> bool:
        """Whether it has pairs by their answer; not so with a pane of a release that did not count them."""
        return ScoreCell("", "", ANSWER) not in self.cells or any(_is_of_answers(cell) for cell in self.cells)

    def groups(self, column: str) -> list[str]:
        """Groups of a column that have bins, sorted."""
        return sorted({cell.group for cell in self.cells if cell.column == column})

    @classmethod
    def of(cls, pairs: Pairs, labels: Sequence[str], w: Floats) -> Self:
        """Every class, also among its own answers, and the answer over all pairs; in each group the last, positive class and the answer."""
        if pairs.scores is None or not len(labels):
            return cls()
        number, confidence = _answer(pairs, labels)
        is_right = np.asarray(pairs.predicted == pairs.label, dtype=np.bool_)
        answered = (confidence, is_right)
        by_answer = _binned(*answered, w, number, len(labels))  # (k, bins, 7)
        found = {ScoreCell("", _ANSWERED, label): sums for label, sums in zip(labels, by_answer, strict=True)}
        found[ScoreCell("", "", ANSWER)] = by_answer.sum(axis=0)
        per_class = {label: (pairs.scores[:, j], pairs.label == label) for j, label in enumerate(labels)}
        found |= {ScoreCell("", "", label): binned(p, y, w) for label, (p, y) in per_class.items()}
        for column, values in pairs.groups.items():
            for group in sorted({g for g in values.tolist() if g is not None}):
                rows = values == group
                for label, (p, y) in ((ANSWER, answered), (labels[-1], per_class[labels[-1]])):
                    found[ScoreCell(column, category_name(group), label)] = binned(p[rows], y[rows], w[rows])
        return cls().merge(cls(cells={cell: sums for cell, sums in found.items() if sums.any()}, n=int(np.isfinite(confidence).sum())))

    def merge(self, other: Self) -> Self:
        """Both together."""
        both = dict(self.cells)
        for cell, sums in other.cells.items():
            both[cell] = both[cell] + sums if cell in both else sums
        if not (self.knows_answers() and other.knows_answers()) or sum(map(_is_of_answers, both)) > MOST_ANSWERED:
            both = {cell: sums for cell, sums in both.items() if not _is_of_answers(cell)}  # those of some pairs would say nothing
        names = _kept(both)
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
            or len(_kept(cells)) < len(cells)
            or sum(map(_is_of_answers, cells)) > MOST_ANSWERED
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
    found: Floats = _binned(p, y, w, np.zeros(len(p), dtype=np.int64), 1)[0]
    return found


def _binned(p: Floats, y: NDArray[np.bool_], w: Floats, part: NDArray[np.int64], n_parts: int) -> Floats:
    """The same by part, (parts, bins, 7); `part` (n,)."""
    given = np.isfinite(p)
    p, hit, w = np.clip(p[given], 0.0, 1.0), y[given].astype(np.float64), w[given]
    at, r, w2 = bin_of(p) + BINS_N * part[given], hit - p, w * w
    columns = (w, w * hit, w * r, w2, w2 * hit, w2 * r, w2 * r * r)
    found = np.stack([np.bincount(at, v, n_parts * BINS_N) for v in columns], axis=1)
    return found.astype(np.float64, copy=False).reshape(n_parts, BINS_N, _SUMS)


def _answer(pairs: Pairs, labels: Sequence[str]) -> tuple[NDArray[np.int64], Floats]:
    """(number of the class that was answered, its probability), each (n,); 0 and NaN where it is not one of the labels."""
    known = {label: j for j, label in enumerate(labels)}
    number = np.array([known.get(name, -1) for name in pairs.predicted.tolist()], dtype=np.int64)
    assert pairs.scores is not None
    p = np.where(number < 0, np.nan, pairs.scores[np.arange(pairs.n), number])
    return np.maximum(number, 0), p


def _is_of_answers(cell: ScoreCell) -> bool:
    return (cell.column, cell.group) == ("", _ANSWERED)


def _kept(cells: Iterable[ScoreCell]) -> list[ScoreCell]:
    """Those that there is room for, sorted."""
    of_answers, others = [c for c in cells if _is_of_answers(c)], [c for c in cells if not _is_of_answers(c)]
    return sorted(of_answers + (others if len(others) <= MOST_BINNED else sorted(others, key=_order)[:MOST_BINNED]))


def _order(cell: ScoreCell) -> tuple[bool, bytes]:
    """Those over all pairs first, then by hash: a fixed total order, so that keeping the first ones is associative."""
    return bool(cell.column), hashlib.blake2b(json.dumps(cell).encode(), digest_size=16).digest()
