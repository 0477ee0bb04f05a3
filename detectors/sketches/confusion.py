"""How often each label was given for each true label, of all and of each group: what every figure of performance and fairness needs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from detectors.sketches.counts import category_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.types import Pairs

MOST_CELLS = 10_000
"""More cells than that are no classification: the surplus is counted in `dropped` and the detectors say that they cannot judge."""
_VERSION = 1
_PARTS = 4


class Cell(NamedTuple):
    """What is counted. Column "" and group "" = all pairs; otherwise one group of one column (bare name, "age_band")."""

    column: str
    group: str
    label: str
    predicted: str


class Rates(NamedTuple):
    """One label against the rest."""

    tp: int
    fp: int
    fn: int
    tn: int


def _order(cell: Cell) -> tuple[bool, bytes]:
    """The cells over all pairs first, then by hash: a fixed total order, so that keeping the first ones is associative."""
    return bool(cell.column), hashlib.blake2b(json.dumps(cell).encode(), digest_size=16).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """A commutative monoid over labelled pairs: merge equals one pass exactly.

    Plain counts: within one epoch every record of a model is sampled with the same probability, so weights cancel in every rate
    (`Pairs.weight` is not read). Cost: one dictionary entry a cell, at most 10,000.
    """

    kind: ClassVar[str] = "confusion"

    cells: Mapping[Cell, int] = field(default_factory=lambda: MappingProxyType({}))
    n: int = 0
    """Labelled pairs."""
    dropped: int = 0
    """Pairs in cells that are not kept, over all columns."""

    def add(self, pairs: Pairs) -> Self:
        """Take in labelled pairs; a pair whose group is unknown (None) counts among all, and in no group of that column."""
        label, predicted = _names(pairs.label.tolist()), _names(pairs.predicted.tolist())
        found = Counter(Cell("", "", t, p) for t, p in zip(label, predicted, strict=True))
        for column, groups in pairs.groups.items():
            if not column:
                raise ValueError('a group column is named ""; give it the name that it has in the settings')
            found.update(
                Cell(column, category_name(g), t, p) for g, t, p in zip(groups.tolist(), label, predicted, strict=True) if g is not None
            )
        return self._with(found, n=pairs.n)

    def merge(self, other: Self) -> Self:
        """Both together."""
        return self._with(other.cells, n=other.n, dropped=other.dropped)

    def _with(self, cells: Mapping[Cell, int], *, n: int, dropped: int = 0) -> Self:
        both = Counter(self.cells)
        both.update(cells)
        names = list(both) if len(both) <= MOST_CELLS else sorted(both, key=_order)[:MOST_CELLS]
        kept = {name: both[name] for name in sorted(names)}
        surplus = sum(both.values()) - sum(kept.values()) if len(kept) < len(both) else 0
        return type(self)(cells=MappingProxyType(kept), n=self.n + n, dropped=self.dropped + dropped + surplus)

    @property
    def dropped_of_all(self) -> int:
        """Pairs missing in the cells over all pairs: above 0 the labels are too many for a classification."""
        return self.n - sum(self.table().values())

    def groups(self, column: str) -> list[str]:
        """Groups of a column that have labelled pairs, sorted."""
        return sorted({cell.group for cell in self.cells if cell.column == column})

    def table(self, column: str = "", group: str = "") -> dict[tuple[str, str], int]:
        """(label, predicted) -> pairs, of all or of one group."""
        return {(c.label, c.predicted): n for c, n in self.cells.items() if (c.column, c.group) == (column, group)}

    def labels(self) -> list[str]:
        """Every label seen, true or given, sorted."""
        return sorted({x for cell in self.cells for x in (cell.label, cell.predicted)})

    def rates(self, label: str, column: str = "", group: str = "") -> Rates:
        """One label against the rest, of all or of one group."""
        cell = [0, 0, 0, 0]
        for (true, given), n in self.table(column, group).items():
            cell[2 * (true == label) + (given == label)] += n
        tn, fp, fn, tp = cell
        return Rates(tp=tp, fp=fp, fn=fn, tn=tn)

    def correct(self, column: str = "", group: str = "") -> tuple[int, int]:
        """Pairs answered rightly, and all pairs, of all or of one group."""
        table = self.table(column, group)
        return sum(n for (true, given), n in table.items() if true == given), sum(table.values())

    def to_bytes(self) -> bytes:
        """Compact JSON behind one byte of version."""
        document = [self.n, self.dropped, [[*cell, n] for cell, n in self.cells.items()]]
        return bytes([_VERSION]) + json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on bytes that are no confusion counts."""
        if not data or data[0] != _VERSION:
            raise ValueError(f"not confusion counts of version {_VERSION}: {len(data)} bytes")
        try:
            n, dropped, rows = json.loads(data[1:])
            cells = {Cell(*row[:_PARTS]): row[_PARTS] for row in rows}
        except (IndexError, KeyError, RecursionError, TypeError, ValueError) as e:
            raise ValueError(f"not confusion counts: {e}") from e
        if any(type(x) is not int or x < 0 for x in (n, dropped, *cells.values())) or len(rows) > MOST_CELLS:
            raise ValueError("not confusion counts: a figure is no natural number, or there are too many cells")
        if any(type(x) is not str for cell in cells for x in cell) or any(len(row) != _PARTS + 1 for row in rows):
            raise ValueError("not confusion counts: a name is no text")
        return cls(cells=MappingProxyType(cells), n=n, dropped=dropped)


def _names(values: list[object]) -> list[str]:
    seen = {value: category_name(value) for value in set(values)}
    return [seen[value] for value in values]
