"""Panes in the ledger, and windows merged from them: what a window costs depends on neither its records nor, much, its panes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import func, insert, or_, select

from daemon.store import tables
from daemon.store.blob import pane_from_bytes, pane_to_bytes
from daemon.store.damage import BROKEN, said
from detectors.sketches.confusion import Confusion
from detectors.sketches.judged import merge_judged
from detectors.sketches.summary import merge_summaries
from detectors.types import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Row

log = structlog.get_logger()
_t = tables.pane
_DAY_S = 86_400.0


def insert_pane(
    tx: Connection,
    *,
    model: str,
    version: str,
    start: float,
    end: float,
    n_seen: int,
    n: int,
    summary: Mapping[str, Mapping[str, Any]],
    confusion: Confusion,
    judged: Mapping[str, Any] | None = None,
    n_pairs: int = 0,
    seq: int = 0,
    path: str | None = None,
    sample_ratio: float | None = None,
) -> int:
    """One version's share of a pane; gives its id."""
    values = {"model": model, "version": version, "start": start, "end": end, "seq": seq, "path": path}
    values |= {"n_seen": n_seen, "n": n, "n_pairs": n_pairs, "sketches": pane_to_bytes(summary, confusion, judged)}
    values |= {"sample_ratio": sample_ratio}
    key = tx.execute(insert(_t).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def newest_record_at(tx: Connection, model: str, *, until: float | None = None) -> float | None:
    """End of the newest pane that has a record, sampled or not, in seconds since the epoch; None = there was none.

    `until`: of those that had ended by then.
    """
    query = select(_t.c.end).where(_t.c.model == model, _t.c.n_seen > 0).order_by(_t.c.start.desc()).limit(1)
    found: float | None = tx.execute(query if until is None else query.where(_t.c.end <= until)).scalar()
    return found


def labelled_n(tx: Connection, model: str, version: str, start: float, end: float) -> int:
    """How many of the version's records in the panes that start in [start, end) have a label, whenever it came."""
    label = tables.label.c  # only a label that joined names a pane; both sides are read from indices alone
    both = _t.join(tables.label, (label.model == _t.c.model) & (label.pane_id == _t.c.id))
    of = (_t.c.model == model, _t.c.version == version, _t.c.start >= start, _t.c.start < end)
    return int(tx.execute(select(func.count()).select_from(both).where(*of)).scalar_one())


def since_version(tx: Connection, model: str, version: str) -> dict[str, tuple[float, int]]:
    """Other versions in the panes after this one's newest with a record: version -> (start of its first one, records)."""
    of = (_t.c.model == model, _t.c.n_seen > 0)
    newest = tx.execute(select(func.max(_t.c.start)).where(*of, _t.c.version == version)).scalar()
    query = select(_t.c.version, func.min(_t.c.start), func.sum(_t.c.n_seen)).where(*of, _t.c.version != version).group_by(_t.c.version)
    found = tx.execute(query if newest is None else query.where(_t.c.start > newest))
    return {name: (float(first_at), int(n)) for name, first_at, n in found}


def same_hours(tx: Connection, model: str, start: float, end: float, *, days: int) -> tuple[int, ...]:
    """All records of [start, end) whatever their version, then of the same hours of each earlier day that had any, newest first."""
    hours = [(start - day * _DAY_S, end - day * _DAY_S) for day in range(days + 1)]
    query = select(_t.c.start, _t.c.n_seen).where(_t.c.model == model, or_(*(_t.c.start.between(a, b) for a, b in hours)))
    seen = [0] * (days + 1)
    for row in tx.execute(query):
        for day, (a, b) in enumerate(hours):
            seen[day] += row.n_seen if a <= row.start < b else 0
    return (seen[0], *(n for n in seen[1:] if n))


@dataclass(frozen=True, slots=True)
class _Sum:
    """Merged panes."""

    n_seen: int
    n: int
    sketches: Mapping[str, Mapping[str, Any]]
    confusion: Confusion
    judged: Mapping[str, Any]
    ratios: frozenset[float] = frozenset()
    """Shares of records that were kept; panes that do not know theirs are not among them."""

    def __add__(self, other: _Sum) -> _Sum:
        merged, judged = merge_summaries(self.sketches, other.sketches), merge_judged(self.judged, other.judged)
        n_seen, n, confusion = self.n_seen + other.n_seen, self.n + other.n, self.confusion.merge(other.confusion)
        return _Sum(n_seen, n, merged, confusion, judged, self.ratios | other.ratios)


_NOTHING = _Sum(0, 0, {}, Confusion(), {})


@dataclass(slots=True)
class _Tree:
    """Sums over aligned blocks of 1, 2, 4, … pane lengths: a new pane or a look costs a logarithm of the window's panes."""

    pane_s: float
    since: float
    """Panes that start earlier are not loaded."""
    newest_id: int = 0
    leaves: dict[int, list[_Sum]] = field(default_factory=dict)
    blocks: dict[tuple[int, int], _Sum | None] = field(default_factory=dict)

    def add(self, start: float, value: _Sum) -> None:
        index = int(start // self.pane_s)
        self.leaves.setdefault(index, []).append(value)
        for level in range(64):
            self.blocks.pop((level, index >> level), None)

    def sum(self, start: float, end: float) -> _Sum:
        """Panes with start <= their start < end."""
        low, high = _ceil(start, self.pane_s), _ceil(end, self.pane_s)
        blocks, level = [], 0
        while low < high:
            if low & 1:
                blocks.append(self._block(level, low))
                low += 1
            if high & 1:
                high -= 1
                blocks.append(self._block(level, high))
            low, high, level = low >> 1, high >> 1, level + 1
        total = _NOTHING
        for block in reversed(blocks):  # the largest first: a sketch takes in a small one at less cost than a large one
            total = _plus(total, block)
        return total

    def alike(self, start: float, end: float) -> tuple[float, float]:
        """(start of its first pane, ratio) of the newest part of [start, end) whose records were all kept at one ratio.

        A pane with an addition that was kept at another one is no part of it; the ratio is that of the records that came last.
        """
        low, high = _ceil(start, self.pane_s), _ceil(end, self.pane_s)
        first, newest = high, 1.0
        for index in sorted((i for i in self.leaves if low <= i < high), reverse=True):
            ratios = [ratio for part in self.leaves[index] for ratio in part.ratios]  # in the order in which they were committed
            newest = ratios[-1] if ratios and first == high else newest
            if any(ratio != newest for ratio in ratios):
                break
            first = index if ratios else first
        return min(end, first * self.pane_s), newest

    def _block(self, level: int, index: int) -> _Sum | None:
        if (level, index) not in self.blocks:
            if level == 0:
                parts: list[_Sum | None] = [*self.leaves.get(index, ())]
            else:
                parts = [self._block(level - 1, 2 * index), self._block(level - 1, 2 * index + 1)]
            total: _Sum | None = None
            for part in parts:
                total = part if total is None else _plus(total, part)
            self.blocks[level, index] = total
        return self.blocks[level, index]

    def forget(self, before: float) -> None:
        """Drop what no later window can want."""
        low = _ceil(before, self.pane_s)
        for index in [i for i in self.leaves if i < low]:
            del self.leaves[index]
        for level, index in [key for key in self.blocks if (key[1] + 1) << key[0] <= low]:
            del self.blocks[level, index]


def _ceil(at: float, pane_s: float) -> int:
    """Index of the first pane that starts at or after `at` (a nanosecond of rounding aside)."""
    return -int(-(at - 1e-9) // pane_s)


def _plus(total: _Sum, part: _Sum | None) -> _Sum:
    if part is None:
        return total
    return part if total is _NOTHING else total + part


class Windows:
    """Windows of every model and version, kept merged between looks. Used by one thread."""

    def __init__(self) -> None:
        self._trees: dict[tuple[str, str], _Tree] = {}

    def window(self, tx: Connection, model: str, version: str, start: float, end: float) -> Window:
        """[start, end) of one version: panes that start in it. Without a pane it is empty (n = 0)."""
        tree = self._tree(tx, model, version, start)
        found = _NOTHING if tree is None else tree.sum(start, end)
        whole = _window(found, model, version, start, end)
        if tree is None or len(found.ratios) <= 1:
            return whole
        since, ratio = tree.alike(start, end)
        return replace(whole, alike=replace(_window(tree.sum(since, end), model, version, since, end), sample_ratio=ratio))

    def _tree(self, tx: Connection, model: str, version: str, start: float) -> _Tree | None:
        """With every pane that starts at or after `start`; None = there was none."""
        tree = self._trees.get((model, version))
        if tree is None or start < tree.since:
            tree = None  # load (again): an earlier start than anything that was kept
        newest = tree.newest_id if tree is not None else 0
        query = select(_t).where(_t.c.model == model, _t.c.version == version, _t.c.id > newest, _t.c.start >= start)
        for row in tx.execute(query.order_by(_t.c.id)):
            if tree is None or row.end - row.start < tree.pane_s * (1 - 1e-9):  # the setting was made smaller: blocks of the new size
                tree = _grown(tree, row.end - row.start, start)
            ratios = frozenset([row.sample_ratio] if row.sample_ratio is not None else [])
            tree.add(row.start, _Sum(row.n_seen, row.n, *_sketches(row), ratios))
            tree.newest_id = row.id
        if tree is not None:
            tree.since = max(tree.since, start)
            tree.forget(start)
            self._trees[model, version] = tree
        return tree


def _window(found: _Sum, model: str, version: str, start: float, end: float) -> Window:
    return Window(
        model=model,
        version=version,
        start=datetime.fromtimestamp(start, UTC),
        end=datetime.fromtimestamp(end, UTC),
        n_seen=found.n_seen,
        n=found.n,
        sketches=found.sketches,
        confusion=found.confusion,
        judged=found.judged,
    )


def _sketches(row: Row[Any]) -> tuple[Mapping[str, Mapping[str, Any]], Confusion, Mapping[str, Any]]:
    """Of a pane; none where somebody damaged them, which is told: the window goes on without."""
    try:
        return pane_from_bytes(row.sketches)
    except BROKEN as e:
        log.error("pane.unreadable", model=row.model, pane=row.id, because=said(e))  # noqa: TRY400 (a sentence, no bug)
        return {}, Confusion(), {}


def _grown(old: _Tree | None, pane_s: float, since: float) -> _Tree:
    new = _Tree(pane_s=pane_s, since=since)
    for index, values in old.leaves.items() if old is not None else ():
        for value in values:
            new.add(index * old.pane_s if old is not None else 0.0, value)
    return new


def window(tx: Connection, model: str, version: str, start: float, end: float) -> Window:
    """One window, read from the ledger without a cache."""
    return Windows().window(tx, model, version, start, end)
