"""What a tick costs with 100 columns and the default monitors: a pane through the sequential detectors, a look, the ledger."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import func, select

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from daemon.store import tables, verdicts
from daemon.store.ledger import Ledger
from daemon.watch import Watch
from detectors.sketches.confusion import Confusion
from detectors.sketches.summary import summarise
from detectors.types import Increment, Kind, Pairs, Reference, Window

_EACH_N = 50
"""Numeric columns, and as many of categories."""
_NAMES = np.asarray([f"kind {i}" for i in range(12)], dtype=object)
_REFERENCE_N, _PANE_N, _TICKS = 10_000, 200, 5
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_KEPT = tables.detector_state.c
_SIZES = select(_KEPT.subject, func.sum(func.length(_KEPT.state)).label("bytes")).group_by(_KEPT.subject)


def run() -> dict[str, Any]:
    """One row a window size."""
    columns = {f"x{i}": "numeric" for i in range(_EACH_N)} | {f"c{i}": "category" for i in range(_EACH_N)}
    settings = {"name": "bench", "task": "text-classification", "labels": ["no", "yes"], "columns": columns}
    model, rng = ModelSettings.model_validate(settings), np.random.default_rng(0)
    base = _frame(rng, _REFERENCE_N)
    kinds = model.subjects()
    reference = Reference(columns=base, kinds=kinds, sketches=summarise(base, kinds), bound=Pairs.empty(), digest="bench")
    watch = Watch(model=model, version="1", epoch=1, reference=reference, key="bench", detectors=monitors(model, has_bound=False))
    watch.states = {(d.name, d.subject): d.start(reference) for d in watch.detectors}
    rows = [_row(watch, rng, n) for n in (10_000, 100_000)]
    n_alarming = sum(d.kind is Kind.ALARMS for d in watch.detectors)
    of = f"{2 * _EACH_N} columns: {len(watch.detectors)} monitors, {n_alarming} of them sequential; panes of {_PANE_N} records"
    kept = "What is written of sequential detectors' states with a pane stays as it is, whatever was seen before"
    says = f"{of}; median of {_TICKS} ticks, SQLite. Target: a tick below 1 s, whatever the window holds. {kept}."
    return {"rows": rows, "says": says}


def _row(watch: Watch, rng: np.random.Generator, n: int) -> dict[str, str]:
    sketches = summarise(_frame(rng, n), watch.model.subjects())
    window = Window(model="bench", version="1", start=_AT, end=_AT, n_seen=n, n=n, sketches=sketches, confusion=Confusion())
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        ledger.migrate()
        for i in range(_TICKS):
            pane = Increment(start=_AT, end=_AT, columns=_frame(rng, _PANE_N), pairs=Pairs.empty(), n=_PANE_N)
            marks = [time.perf_counter()]
            with ledger.begin() as tx:
                found = watch.fold(tx, pane)
                marks.append(time.perf_counter())
                found += watch.look(window)
                marks.append(time.perf_counter())
                verdicts.save(tx, "bench", found, at=float(i), epoch=1)
            spent.append([*np.diff([*marks, time.perf_counter()]), time.perf_counter() - marks[0]])
        with ledger.read() as tx:
            sizes = {row.subject: row.bytes for row in tx.execute(_SIZES)}
        ledger.close()
    fold, look, save, tick = (median(column) for column in zip(*spent, strict=True))
    return {
        "records in the window": f"{n:,}",
        "sequential detectors and their states, s": f"{fold:.3f}",
        "look, s": f"{look:.3f}",
        "verdicts and commit, s": f"{save:.3f}",
        "tick, s": f"{tick:.3f}",
        "states of a number, a category, KB a pane": ", ".join(f"{sizes[f'input.{kind}0'] / 1000:.1f}" for kind in "xc"),
        "of all, KB": f"{sum(sizes.values()) / 1000:,.0f}",
    }


def _frame(rng: np.random.Generator, n: int) -> dict[str, Any]:
    found: dict[str, Any] = {f"input.x{i}": rng.normal(size=n) for i in range(_EACH_N)}
    found |= {f"input.c{i}": _NAMES[rng.choice(12, n)] for i in range(_EACH_N)}
    return found | {"output.label": np.asarray(["no", "yes"], dtype=object)[rng.choice(2, n)], "output.score": rng.random(n)}
