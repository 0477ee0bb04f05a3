"""How often each label was given for each true label, of all and of each group: what every figure of performance and fairness needs."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np

from detectors.sketches.counts import category_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.types import Pairs

MOST_CELLS = 10_000
"""More cells than that are no classification: the surplus is counted in `dropped` and the detectors say that they cannot judge."""
_PLAIN, _WEIGHTED = 1, 2
"""Versions of the bytes: counts alone (all weights are 1), or each cell's sums of weights behind its count."""
_PARTS = 4


class Cell(NamedTuple):
    """What is counted. Column "" and group "" = all pairs; otherwise one group of one column (bare name, "age_band")."""

    column: str
    group: str
    label: str
    predicted: str


class Tally(NamedTuple):
    """Pairs, and the sums of their weights and of the squares of these (without weights all three are equal)."""

    n: int = 0
    w: float = 0.0
    w2: float = 0.0

    def plus(self, *others: Tally) -> Tally:
        """Together."""
        return Tally(*(sum(part) for part in zip(self, *others, strict=True)))


class Tallies(NamedTuple):
    """One label against the rest, with weights."""

    tp: Tally
    fp: Tally
    fn: Tally
    tn: Tally


def _order(cell: Cell) -> tuple[bool, bytes]:
    """The cells over all pairs first, then by hash: a fixed total order, so that keeping the first ones is associative."""
    return bool(cell.column), hashlib.blake2b(json.dumps(cell).encode(), digest_size=16).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """A commutative monoid over labelled pairs: merge equals one pass exactly.

    Counts, and, once a pair has a weight other than 1, each cell's sums of weights: a share is then a ratio of such sums, known as well as
    from (sum w)^2 / (sum w^2) pairs (Kish's effective number). Cost: one dictionary entry a cell, at most 10,000.
    """

    kind: ClassVar[str] = "confusion"

    cells: Mapping[Cell, int] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[Cell, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    """Sums of weights and of their squares, of every cell; empty = all weights are 1."""
    n: int = 0
    """Labelled pairs."""
    dropped: int = 0
    """Pairs in cells that are not kept, over all columns."""

    def add(self, pairs: Pairs) -> Self:
        """Take in labelled pairs; a pair whose group is unknown (None) counts among all, and in no group of that column.

        Pairs that are no classes (no answer or no label) are left out.
        """
        named = np.asarray([t is not None and p is not None for t, p in zip(pairs.label.tolist(), pairs.predicted.tolist(), strict=True)])
        pairs = pairs if named.all() else pairs.take(named)
        label, predicted = _names(pairs.label.tolist()), _names(pairs.predicted.tolist())
        members = [Cell("", "", t, p) for t, p in zip(label, predicted, strict=True)]
        rows = list(range(pairs.n))
        for column, groups in pairs.groups.items():
            if not column:
                raise ValueError('a group column is named ""; give it the name that it has in the settings')
            known = [i for i, g in enumerate(groups.tolist()) if g is not None]
            members += [Cell(column, category_name(groups[i]), label[i], predicted[i]) for i in known]
            rows += known
        has_weights = pairs.weight is not None and bool((pairs.weight != 1.0).any())
        return self._with(Counter(members), _weights(members, rows, pairs) if has_weights else {}, n=pairs.n)

    def merge(self, other: Self) -> Self:
        """Both together."""
        return self._with(other.cells, other.weights, n=other.n, dropped=other.dropped)

    def _with(self, cells: Mapping[Cell, int], weights: Mapping[Cell, tuple[float, float]], *, n: int, dropped: int = 0) -> Self:
        both = Counter(self.cells)
        both.update(cells)
        names = list(both) if len(both) <= MOST_CELLS else sorted(both, key=_order)[:MOST_CELLS]
        kept = {name: both[name] for name in sorted(names)}
        surplus = sum(both.values()) - sum(kept.values()) if len(kept) < len(both) else 0
        heavy: dict[Cell, tuple[float, float]] = {}
        if self.weights or weights:
            for name in kept:
                a, b = (part.get(name, (float(m.get(name, 0)),) * 2) for part, m in ((self.weights, self.cells), (weights, cells)))
                heavy[name] = (a[0] + b[0], a[1] + b[1])
        return type(self)(
            cells=MappingProxyType(kept), weights=MappingProxyType(heavy), n=self.n + n, dropped=self.dropped + dropped + surplus
        )

    @property
    def dropped_of_all(self) -> int:
        """Pairs missing in the cells over all pairs: above 0 the labels are too many for a classification."""
        return self.n - sum(self.table().values())

    def groups(self, column: str) -> list[str]:
        """Groups of a column that have labelled pairs, sorted."""
        return sorted({cell.group for cell in self.cells if cell.column == column})

    def sizes(self, column: str) -> dict[str, int]:
        """Labelled pairs of each group of a column."""
        found: Counter[str] = Counter()
        for cell, n in self.cells.items():
            if cell.column == column:
                found[cell.group] += n
        return dict(found)

    def table(self, column: str = "", group: str = "") -> dict[tuple[str, str], int]:
        """(label, predicted) -> pairs, of all or of one group."""
        return {(c.label, c.predicted): n for c, n in self.cells.items() if (c.column, c.group) == (column, group)}

    def labels(self) -> list[str]:
        """Every label seen, true or given, sorted."""
        return sorted({x for cell in self.cells for x in (cell.label, cell.predicted)})

    def tally(self, cell: Cell) -> Tally:
        """Of one cell."""
        n = self.cells.get(cell, 0)
        return Tally(n, *self.weights.get(cell, (float(n), float(n))))

    def tallies(self, label: str, column: str = "", group: str = "") -> Tallies:
        """One label against the rest, of all or of one group, with weights."""
        found = [Tally()] * 4
        for true, given in self.table(column, group):
            at = 2 * (true == label) + (given == label)
            found[at] = found[at].plus(self.tally(Cell(column, group, true, given)))
        tn, fp, fn, tp = found
        return Tallies(tp=tp, fp=fp, fn=fn, tn=tn)

    def correct(self, column: str = "", group: str = "") -> tuple[int, int]:
        """Pairs answered rightly, and all pairs, of all or of one group."""
        table = self.table(column, group)
        return sum(n for (true, given), n in table.items() if true == given), sum(table.values())

    def right(self, column: str = "", group: str = "") -> tuple[Tally, Tally]:
        """Pairs answered rightly, and all pairs, of all or of one group, with weights."""
        cells = [Cell(column, group, true, given) for true, given in self.table(column, group)]
        hits = Tally().plus(*(self.tally(cell) for cell in cells if cell.label == cell.predicted))
        return hits, Tally().plus(*map(self.tally, cells))

    def to_bytes(self) -> bytes:
        """Compact JSON behind one byte of version."""
        document = [self.n, self.dropped, [[*cell, n, *self.weights.get(cell, ())] for cell, n in self.cells.items()]]
        return bytes([_WEIGHTED if self.weights else _PLAIN]) + json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on bytes that are no confusion counts."""
        if not data or data[0] not in (_PLAIN, _WEIGHTED):
            raise ValueError(f"not confusion counts of version {_PLAIN} or {_WEIGHTED}: {len(data)} bytes")
        size = _PARTS + 1 + 2 * (data[0] == _WEIGHTED)
        try:
            n, dropped, rows = json.loads(data[1:])
            cells = {Cell(*row[:_PARTS]): row[_PARTS] for row in rows}
            weights = {Cell(*row[:_PARTS]): (float(row[-2]), float(row[-1])) for row in rows if data[0] == _WEIGHTED}
        except (IndexError, KeyError, RecursionError, TypeError, ValueError) as e:
            raise ValueError(f"not confusion counts: {e}") from e
        if any(type(x) is not int or x < 0 for x in (n, dropped, *cells.values())) or len(rows) > MOST_CELLS:
            raise ValueError("not confusion counts: a figure is no natural number, or there are too many cells")
        if any(type(x) is not str for cell in cells for x in cell) or any(len(row) != size for row in rows):
            raise ValueError("not confusion counts: a name is no text")
        if not all(0.0 <= x < math.inf for sums in weights.values() for x in sums):
            raise ValueError("not confusion counts: a sum of weights is no number")
        return cls(cells=MappingProxyType(cells), weights=MappingProxyType(weights), n=n, dropped=dropped)


def _weights(members: list[Cell], rows: list[int], pairs: Pairs) -> dict[Cell, tuple[float, float]]:
    """Sums of weights and of their squares; `rows`: the pair behind each member."""
    assert pairs.weight is not None
    found: dict[Cell, tuple[float, float]] = {}
    for cell, w in zip(members, pairs.weight[rows].tolist(), strict=True):
        a, b = found.get(cell, (0.0, 0.0))
        found[cell] = (a + w, b + w * w)
    return found


def _names(values: list[object]) -> list[str]:
    seen = {value: category_name(value) for value in set(values)}
    return [seen[value] for value in values]
