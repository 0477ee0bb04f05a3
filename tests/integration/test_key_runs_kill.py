"""SIGKILL while runs of keys are written and merged: a real process, a real file."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from daemon.store import tables
from daemon.store.key_blocks import PLACE, Place, in_order
from daemon.store.key_filter import keys_array
from daemon.store.key_runs import KeyRuns
from daemon.store.ledger import Ledger
from tests.killing import to_the_end

PANES, PER_PANE, KILLS = 200, 600, 5
HORIZONS = {"m": 1e9}


def keys_of(pane: int) -> list[bytes]:
    rng = random.Random(pane)
    return [rng.randbytes(16) for _ in range(PER_PANE)]


def _opened(folder: Path) -> tuple[Ledger, KeyRuns]:
    ledger, runs = Ledger(f"sqlite:///{folder}/ledger.db"), KeyRuns()
    ledger.migrate()
    with ledger.read() as tx:
        runs.sync(tx, ["m"])
    return ledger, runs


def _main(folder: Path) -> None:
    """The process that is killed: goes on behind the newest pane that it finds, as the intake does behind its mark."""
    ledger, runs = _opened(folder)
    with ledger.read() as tx:
        newest = tx.execute(sa.select(sa.func.max(tables.key_run.c.until))).scalar()
    print("ready", flush=True)
    for pane in range(0 if newest is None else int(newest) + 1, PANES):
        places = np.zeros(PER_PANE, PLACE)
        places["pane"], places["row"] = pane + 1, np.arange(PER_PANE)
        with ledger.begin() as tx:
            runs.add(tx, "m", in_order(keys_array(keys_of(pane)), places), since=float(pane), until=float(pane))
        while group := next(runs.due(HORIZONS), None):
            with ledger.begin() as tx:
                new = runs.merge(tx, group)
            runs.merged(group, new)
    ledger.close()


def test_killed_at_random_moments_every_key_is_there_once_and_in_its_place(tmp_path: Path) -> None:
    kills = to_the_end(__file__, tmp_path, seed=7, kills_n=KILLS, within_s=(0.02, 0.4))
    assert kills >= 2, "it ended before it could be killed: nothing was tried"
    expected: dict[bytes, Place] = {key: (p + 1, i) for p in range(PANES) for i, key in enumerate(keys_of(p))}
    ledger, runs = _opened(tmp_path)
    with ledger.read() as tx:
        held = tx.execute(sa.select(sa.func.sum(tables.key_run.c.n), sa.func.count())).one()
        n_bytes = tx.execute(sa.select(sa.func.sum(sa.func.length(tables.key_block.c.hashes)))).scalar_one()
        assert runs.recorded(tx, "m", list(expected)) == expected
    assert (held[0], n_bytes) == (len(expected), 16 * len(expected))
    assert held[1] < 20
    ledger.close()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
