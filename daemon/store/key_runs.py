"""Which records were committed, and where they are: runs of keys, new ones small, merged into larger ones, gone with their horizon.

A B-tree of hashes has a page for every record that comes: at ten million keys it costs ten times what it does when it is new. A run is
written at once and never changed, and a filter in memory (2.7 bytes a key) says of nearly every new record that no run holds it. Two ids
of one hash would be one record: among a thousand million of 128 bits that has a chance of 1 to 10**21.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from daemon.store import key_blocks, tables
from daemon.store.key_blocks import Entries, Place
from daemon.store.key_filter import Filter, bits, keys_array, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from daemon.store.ledger import Ledger

log = structlog.get_logger()
FANOUT = 8
"""So many runs of a level become one of the next."""
MOST_N = 1_000_000
"""Keys of a merged run: some 30 MB are written, in a quarter of a second."""
_PARTS = 8  # of the horizon: no merged run is longer than one, so no key is kept longer than this much more
FULL = 99
"""Level of a merged run that grows no further."""


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the ledger's `key_run`."""

    id: int
    model: str
    level: int
    n: int
    since: float
    """Of its records' times, the first; `until`: the last."""
    until: float


class KeyRuns:
    """Of all models, by the ticking thread only. A transaction may fail: `sync` before the next look-ups."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[Run, Filter]] = {}

    def sync(self, tx: Connection, models: Sequence[str]) -> None:
        """Make memory say what the ledger does. Cost: reading the keys that it did not know, 60 ms a million."""
        there: dict[str, list[Run]] = {name: [] for name in models}
        for row in tx.execute(select(tables.key_run).order_by(tables.key_run.c.id)):
            if row.model in there:
                there[row.model].append(Run(row.id, row.model, row.level, row.n, row.since, row.until))
        known = self._runs
        self._runs = {
            name: {run: held if (held := known.get(name, {}).get(run)) is not None else _loaded(tx, run) for run in runs}
            for name, runs in there.items()
        }

    def recorded(self, tx: Connection, model: str, keys: Sequence[bytes]) -> dict[bytes, Place]:
        """Those of the keys that are committed records."""
        runs = self._runs[model]
        if not runs or not keys:
            return {}
        asked, found = keys_array(keys), dict[bytes, Place]()
        wanted = bits(asked)
        for run, held in runs.items():
            perhaps = np.flatnonzero(held.may_hold(asked, wanted))
            if len(perhaps):
                blocks = spread(asked[perhaps], key_blocks.n_blocks(run.n))
                found |= key_blocks.find(tx, run.id, [keys[i] for i in perhaps.tolist()], blocks)
        return found

    def add(self, tx: Connection, model: str, entries: Entries, *, since: float, until: float) -> None:
        """The new records of one pane."""
        if len(entries.keys):
            run, held = _written(tx, model, entries, level=0, since=since, until=until)
            self._runs[model][run] = held

    def settle(self, ledger: Ledger, horizons: Mapping[str, float]) -> None:
        """Make runs fewer and larger, each in a transaction of its own, until some `MOST_N` keys are written."""
        n = 0
        try:
            while n < MOST_N and (group := next(self.due(horizons), None)):
                with ledger.begin() as tx:
                    new = self.merge(tx, group)
                self.merged(group, new)
                n += new[0].n
        except SQLAlchemyError as error:  # a full disk, say: all runs are still there
            log.warning("keys.not_merged", error=str(error)[:200])

    def due(self, horizons: Mapping[str, float]) -> Iterator[list[Run]]:
        """Runs that are to become one; `horizons`: model -> seconds."""
        for model, runs in self._runs.items():
            group = _group(sorted(runs, key=lambda run: (run.level, run.until)), horizons[model] / _PARTS)
            if group:
                yield group

    def merge(self, tx: Connection, group: Sequence[Run]) -> tuple[Run, Filter]:
        """Write the one that stands for these; `merged` when the transaction is through."""
        parts = [key_blocks.read(tx, run.id) for run in group]
        entries = key_blocks.in_order(np.concatenate([p.keys for p in parts]), np.concatenate([p.places for p in parts]))
        level = group[0].level + 1 if len(group) == FANOUT else FULL
        since, until = min(run.since for run in group), max(run.until for run in group)
        new = _written(tx, group[0].model, entries, level=level, since=since, until=until)
        for run in group:
            _remove(tx, run.id)
        return new

    def merged(self, group: Sequence[Run], new: tuple[Run, Filter]) -> None:
        """Memory follows the ledger."""
        runs = self._runs[group[0].model]
        for run in group:
            del runs[run]
        runs[new[0]] = new[1]

    def prune(self, tx: Connection, model: str, *, before: float) -> int:
        """Forget runs whose records are all of earlier times, some `MOST_N` keys; how many are left. Memory follows by `sync`."""
        t = tables.key_run
        old = tx.execute(select(t.c.id, t.c.n).where(t.c.model == model, t.c.until < before).order_by(t.c.until)).all()
        n, left = 0, 0
        for run in old:
            if n and n + run.n > MOST_N:
                left += 1
                continue
            _remove(tx, run.id)
            n += run.n
        return left


def _group(runs: Sequence[Run], most_s: float) -> list[Run]:
    """The first neighbours of a level that are enough, or too large or too long with the next one."""
    group: list[Run] = []
    for run in runs:
        if group and group[0].level != run.level:
            group = []
        if run.level == FULL:
            return []
        together = [*group, run]
        is_within = sum(r.n for r in together) <= MOST_N and run.until - min(r.since for r in together) <= most_s
        if not is_within and len(group) > 1:
            return group
        group = together if is_within else [run]
        if len(group) == FANOUT:
            return group
    return []


def _written(tx: Connection, model: str, entries: Entries, *, level: int, since: float, until: float) -> tuple[Run, Filter]:
    n = len(entries.keys)
    row = {"model": model, "level": level, "n": n, "since": since, "until": until}
    run = Run(tx.execute(insert(tables.key_run).values(row).returning(tables.key_run.c.id)).scalar_one(), model, level, n, since, until)
    key_blocks.write(tx, run.id, entries)
    held = Filter(n)
    held.add(entries.keys)
    return run, held


def _loaded(tx: Connection, run: Run) -> Filter:
    held = Filter(run.n)
    for keys in key_blocks.read_keys(tx, run.id):
        held.add(keys)
    return held


def _remove(tx: Connection, run: int) -> None:
    key_blocks.remove(tx, run)
    tx.execute(delete(tables.key_run).where(tables.key_run.c.id == run))
