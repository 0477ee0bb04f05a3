"""Keys of committed records: found wherever they are, merged without a gap, gone with their horizon, moved from earlier ledgers."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from daemon.store import key_blocks, key_runs, migrate, tables
from daemon.store.key_blocks import PLACE, Entries, Place, in_order
from daemon.store.key_filter import Filter, bits, keys_array
from daemon.store.key_runs import KeyRuns
from daemon.store.ledger import Ledger

HORIZON_S = 8000.0  # an eighth of it: no merged run is longer


def new_keys(n: int, seed: int) -> list[bytes]:
    return [random.Random(seed * 1_000_000 + i).randbytes(16) for i in range(n)]


def entries(keys: list[bytes], pane: int) -> Entries:
    places = np.zeros(len(keys), PLACE)
    places["pane"], places["row"] = pane, np.arange(len(keys))
    return in_order(keys_array(keys), places)


def add(ledger: Ledger, runs: KeyRuns, keys: list[bytes], *, pane: int, at: float, model: str = "m") -> None:
    with ledger.begin() as tx:
        runs.add(tx, model, entries(keys, pane), since=at, until=at + 9)


def merge_all(ledger: Ledger, runs: KeyRuns) -> None:
    while group := next(runs.due({"m": HORIZON_S, "other": HORIZON_S}), None):
        with ledger.begin() as tx:
            new = runs.merge(tx, group)
        runs.merged(group, new)


def found(ledger: Ledger, runs: KeyRuns, keys: list[bytes], model: str = "m") -> dict[bytes, Place]:
    with ledger.read() as tx:
        return runs.recorded(tx, model, keys)


def rows(ledger: Ledger) -> list[tuple[int, int]]:
    """(level, keys) of every run."""
    with ledger.read() as tx:
        return sorted((row.level, row.n) for row in tx.execute(sa.select(tables.key_run)))


def opened(ledger: Ledger) -> KeyRuns:
    runs = KeyRuns()
    with ledger.read() as tx:
        runs.sync(tx, ["m", "other"])
    return runs


def test_every_key_is_found_in_its_place_before_and_after_merging_and_by_a_new_process(ledger: Ledger) -> None:
    runs, expected = opened(ledger), dict[bytes, Place]()
    for p in range(70):
        keys = new_keys(40 + 13 * p, p)
        add(ledger, runs, keys, pane=p, at=10.0 * p)
        expected |= {key: (p, row) if p else (None, None) for row, key in enumerate(keys)}  # pane 0: not sampled
    strangers = new_keys(20_000, 99)
    assert found(ledger, runs, [*expected, *strangers]) == expected
    merge_all(ledger, runs)
    assert [level for level, _ in rows(ledger)] == [0] * 6 + [2]
    assert found(ledger, runs, [*strangers, *expected]) == expected
    assert found(ledger, opened(ledger), list(expected)) == expected
    assert found(ledger, runs, list(expected), model="other") == {}
    with ledger.read() as tx:
        assert runs.recorded(tx, "m", []) == {}
        assert sum(map(len, key_blocks.read_keys(tx, tx.execute(sa.select(sa.func.max(tables.key_run.c.id))).scalar_one()))) > 0


def test_a_key_that_only_lies_across_two_neighbours_is_not_found(ledger: Ledger) -> None:
    runs, first, second = opened(ledger), bytes(range(16)), bytes(range(16, 32))
    add(ledger, runs, [first, second], pane=1, at=0.0)
    with ledger.read() as tx:
        run = tx.execute(sa.select(tables.key_run.c.id)).scalar_one()
        between = (first + second)[5:21]
        assert key_blocks.find(tx, run, [between, second], np.zeros(2, np.int64)) == {second: (1, 1)}


def test_runs_are_merged_until_they_are_too_large_or_too_long(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "MOST_N", 1000)
    runs = opened(ledger)
    for p in range(5):
        add(ledger, runs, new_keys(300, p), pane=1, at=10.0 * p)
    merge_all(ledger, runs)
    assert rows(ledger) == [(0, 300), (0, 300), (99, 900)]  # three fit, two wait for more
    for p in range(5, 9):
        add(ledger, runs, new_keys(3, p), pane=1, at=1000.0 * p)  # two of them span more than an eighth of the horizon
    merge_all(ledger, runs)
    assert rows(ledger) == [(0, 3)] * 4 + [(99, 600), (99, 900)]


def test_runs_go_once_all_of_them_is_behind_the_horizon_some_a_call(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "MOST_N", 900)
    runs = opened(ledger)
    for p in range(4):
        add(ledger, runs, new_keys(500, p), pane=1, at=100.0 * p)
    add(ledger, runs, new_keys(5, 5), pane=1, at=0.0, model="other")
    left = []
    for _ in range(3):
        with ledger.begin() as tx:
            left.append(runs.prune(tx, "m", before=208.0))  # the third run ends at 209
    assert left == [1, 0, 0]
    kept = [*new_keys(500, 2), *new_keys(500, 3)]
    assert set(found(ledger, runs, [*new_keys(500, 0), *kept])) == set(kept)  # memory is behind: the ledger decides
    assert rows(ledger) == [(0, 5), (0, 500), (0, 500)]
    with ledger.read() as tx:
        runs.sync(tx, ["m", "other"])
        assert sum(map(len, tx.execute(sa.select(tables.key_block.c.hashes)).scalars())) == 16 * 1005
    assert set(found(ledger, runs, kept)) == set(kept)


def test_memory_follows_a_transaction_that_failed_and_one_of_which_nobody_was_told(ledger: Ledger) -> None:
    runs = opened(ledger)
    panes = [new_keys(200, p) for p in range(8)]
    for p, keys in enumerate(panes):
        add(ledger, runs, keys, pane=1 + p, at=10.0 * p)
    lost = new_keys(100, 50)
    with ledger.engine.connect() as tx, tx.begin() as failing:
        runs.add(tx, "m", entries(lost, 9), since=80.0, until=89.0)
        failing.rollback()
    (group,) = runs.due({"m": HORIZON_S, "other": HORIZON_S})
    with ledger.begin() as tx:
        runs.merge(tx, group[:8])  # it came through, and `merged` is never called
    with ledger.read() as tx:
        runs.sync(tx, ["m", "other"])
    assert found(ledger, runs, lost) == {}
    expected = {key: (1 + p, row) for p, keys in enumerate(panes) for row, key in enumerate(keys)}
    assert found(ledger, runs, list(expected)) == expected
    add(ledger, runs, lost, pane=9, at=80.0)  # the same number again, perhaps
    assert len(found(ledger, runs, lost)) == 100


def test_a_filter_misses_none_of_its_keys_and_takes_few_others_for_its_own() -> None:
    mine, others = keys_array([os.urandom(16) for _ in range(50_000)]), keys_array([os.urandom(16) for _ in range(100_000)])
    mine = mine[np.argsort(mine[:, 0])]
    held = Filter(len(mine))
    for a, b in pairwise([0, 0, 1, 1000, 50_000]):
        held.add(mine[a:b])
    assert held.may_hold(mine, bits(mine)).all()
    assert held.may_hold(others, bits(others)).mean() < 0.005


def test_keys_of_an_earlier_ledger_are_all_there_after_the_migration(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command
    from alembic.config import Config

    import daemon.store.migrations.versions.r0007_key_runs as revision

    monkeypatch.setattr(revision, "_PART_N", 700)  # several parts, the last one not full, a border within a model
    old = Ledger(new_database())
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    held = {
        model: {key: ((None, None) if i % 5 == 0 else (7, i)) for i, key in enumerate(new_keys(1000, seed))}
        for seed, model in enumerate(("m", "other"))
    }
    with old.engine.begin() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0006")
        names = ("model", "key", "at", "pane_id", "row")
        table = sa.table("record_key", *(sa.column(name) for name in names))
        values = [(model, key, 86_400.0 * (i % 3), *place) for model, keys in held.items() for i, (key, place) in enumerate(keys.items())]
        tx.execute(table.insert(), [dict(zip(names, value, strict=True)) for value in values])
    old.migrate()
    runs = opened(old)
    for model, expected in held.items():
        assert found(old, runs, [*expected, *new_keys(500, 9)], model) == expected
        add(old, runs, new_keys(3, 7), pane=8, at=5.0, model=model)  # numbering goes on
    with old.begin() as tx:
        assert not sa.inspect(tx).has_table("record_key")
        assert tx.execute(sa.select(sa.func.max(tables.key_run.c.until - tables.key_run.c.since))).scalar_one() <= 86_400.0
    merge_all(old, runs)
    assert found(old, opened(old), list(held["m"])) == held["m"]
    old.close()
