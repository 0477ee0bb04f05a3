"""SIGKILL while panes are written: a real process, a real spool, a real ledger."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from daemon.capture.spool import EntryKind, Mark, Spool
from daemon.capture.wire import parse_labels
from daemon.settings import Settings
from daemon.store import counters, tables
from daemon.store.closed import Reign
from daemon.store.intake import Intake
from daemon.store.keys import key_of
from daemon.store.ledger import Ledger
from daemon.store.ports import Feed
from tests.killing import to_the_end

T, PANE_S, PANES, PER_PANE = 1_800_000_000.0, 10.0, 120, 40
END = T + PANES * PANE_S + 100


def _intake(folder: Path, spool: Spool) -> tuple[Intake, Ledger]:
    monitors = {"pane_s": PANE_S, "watermark_s": 1.0}
    model = {"name": "m", "task": "text-classification", "labels": ["no", "yes"], "columns": {"text": "text"}, "monitors": monitors}
    settings = Settings.model_validate({"data_dir": folder, "models": [model]})
    ledger = Ledger(f"sqlite:///{folder}/ledger.db")
    ledger.migrate()
    feed = Feed(read=spool.read, release=spool.release, parse_labels=parse_labels, included=lambda *_: True)
    return Intake(settings, ledger, feed, folder), ledger


def _main(folder: Path) -> None:
    """The process that is killed: ticks once a pane on a virtual clock; what it folds is counted in the same transaction."""
    with Spool(folder / "spool") as spool:
        intake, ledger = _intake(folder, spool)
        print("ready", flush=True)
        now = T
        while now < END:
            now += PANE_S
            intake.pull(now)
            for pane in intake.due(now, {"m": Reign("1", 0.0)}):
                with ledger.begin() as tx:
                    intake.commit(tx, pane)
                    counters.add(tx, "m", {("folded", "records"): pane.increment.n, ("folded", "pairs"): pane.increment.pairs.n})
            intake.release()
        ledger.close()


async def _fill(folder: Path) -> list[str]:
    names = []
    with Spool(folder / "spool", segment_bytes=100_000) as spool:
        for p in range(PANES):
            at = datetime.fromtimestamp(T + p * PANE_S, UTC).isoformat()
            found = [f"r{p}.{i}" for i in range(PER_PANE)]
            output = {"label": "yes"}
            lines = [{"id": n, "model": "m", "version": "1", "at": at, "inputs": {"text": n}, "output": output} for n in found]
            labels = [{"id": n, "model": "m", "at": at, "label": "no"} for n in found[::4]]
            payload = "\n".join(json.dumps(line) for line in [*lines, lines[0]]).encode()
            await spool.append(EntryKind.LABELS, "\n".join(map(json.dumps, labels)).encode(), len(labels), T + p * PANE_S)
            await spool.append(EntryKind.RECORDS, payload, len(lines) + 1, T + p * PANE_S)
            names += found
    return names


def test_killed_at_random_moments_the_ledger_and_the_record_log_hold_everything_once(tmp_path: Path) -> None:
    names = asyncio.run(_fill(tmp_path))
    kills = to_the_end(__file__, tmp_path, seed=5, kills_n=4, within_s=(0.02, 0.5))
    assert kills >= 3, "it ended before it could be killed: nothing was tried"
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.read() as tx:
        found = counters.counters(tx, "m")
        paths = tx.execute(sa.select(tables.pane.c.path).where(tables.pane.c.path.is_not(None))).scalars().all()
        hashes = b"".join(tx.execute(sa.select(tables.key_block.c.hashes)).scalars())
        assert tx.execute(sa.select(sa.func.sum(tables.key_run.c.n))).scalar_one() == len(names)
        mark = {row.name: Mark(row.segment, row.offset) for row in tx.execute(sa.select(tables.mark))}["spool"]
    logged = Counter(x for path in paths for x in pq.read_table(tmp_path / path, partitioning=None)["id"].to_pylist())
    assert logged == Counter(names)
    assert sorted(hashes[i : i + 16] for i in range(0, len(hashes), 16)) == sorted(map(key_of, names))
    assert found["accepted", "records"] == len(names) + PANES
    assert (found["records", "stored"], found["records", "duplicate"]) == (len(names), PANES)
    assert (found["folded", "records"], found["folded", "pairs"]) == (len(names), len(names) // 4)
    assert found["labels", "stored"] == len(names) // 4
    with Spool(tmp_path / "spool") as spool:
        assert mark == spool.durable
        assert len(list((tmp_path / "spool").iterdir())) == 1
    ledger.close()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
