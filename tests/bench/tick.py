"""What a look costs: a window of 10 k, 100 k and 1 M records (20 numeric columns, 60 panes), beside Evidently on the same rows.

Ours reads merged panes; the panes themselves are built once, when records arrive, and their cost is shown in a column of its own.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from daemon.settings import ModelSettings
from daemon.store import panes
from daemon.store.ledger import Ledger
from daemon.watch import Watch
from detectors.registry import build
from detectors.sketches.confusion import Confusion
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Pairs, Reference

_COLUMNS = [f"input.x{i}" for i in range(20)]
_KINDS = dict.fromkeys(_COLUMNS, ColumnKind.NUMERIC)
_PANES = 60
_PANE_S = 60.0
_LOOKS = 31
_EVIDENTLY_UP_TO = 100_000


def run() -> dict[str, Any]:
    """One row a window size."""
    rng = np.random.default_rng(0)
    base = _frame(rng, 10_000)
    rows = []
    for n in (10_000, 100_000, 1_000_000):
        data = _frame(rng, n)
        built_s, tick_s = _ours(base, data)
        theirs_s = _evidently(base, data) if n <= _EVIDENTLY_UP_TO else None
        rows.append(
            {
                "records in the window": f"{n:,}",
                "look (KS + PSI, 20 columns), s": f"{tick_s:.3f}",
                "building the panes, once, s": f"{built_s:.2f}",
                "Evidently DataDriftPreset, s": f"{theirs_s:.2f}" if theirs_s else "not run",
                "Evidently / look": f"{theirs_s / tick_s:.0f}x" if theirs_s else "",
            }
        )
    return {"rows": rows, "says": f"Look: median of {_LOOKS}, the ledger's window with one new pane a look. Reference: 10,000 rows."}


def _frame(rng: np.random.Generator, n: int) -> dict[str, np.ndarray[Any, Any]]:
    return {c: rng.normal(size=n) for c in _COLUMNS}


def _ours(base: dict[str, Any], data: dict[str, Any]) -> tuple[float, float]:
    """(seconds to build all panes, median seconds of a look)."""
    model = ModelSettings.model_validate(
        {"name": "bench", "task": "text-generation", "monitors": {"window_s": _PANES * _PANE_S, "pane_s": _PANE_S, "drift": None}}
    )
    reference = Reference(columns=base, kinds=_KINDS, sketches=summarise(base, _KINDS), bound=Pairs.empty(), digest="bench")
    detectors = [build(name, column=c, alpha=0.01) for c in _COLUMNS for name in ("ks", "psi")]
    watch = Watch(model=model, version="1", epoch=1, reference=reference, key="bench", detectors=detectors)
    watch.states = {(d.name, d.subject): d.start(reference) for d in detectors}
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        ledger.migrate()
        parts = [{c: v[i :: _PANES + _LOOKS] for c, v in data.items()} for i in range(_PANES + _LOOKS)]
        begun = time.perf_counter()
        summaries = [summarise(part, _KINDS) for part in parts]
        built_s = time.perf_counter() - begun
        windows = panes.Windows()
        seconds = []
        for i, (part, summary) in enumerate(zip(parts, summaries, strict=True)):
            with ledger.begin() as tx:
                n = len(next(iter(part.values())))
                start = i * _PANE_S
                panes.insert_pane(
                    tx, model="bench", version="1", start=start, end=start + _PANE_S, n_seen=n, n=n, summary=summary, confusion=Confusion()
                )
            if i >= _PANES:
                begun = time.perf_counter()
                with ledger.begin() as tx:
                    window = windows.window(tx, "bench", "1", start - (_PANES - 1) * _PANE_S, start + _PANE_S)
                watch.look(window)
                seconds.append(time.perf_counter() - begun)
        ledger.close()
    return built_s, median(seconds)


def _evidently(base: dict[str, Any], data: dict[str, Any]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own deprecations
        from evidently import Report
        from evidently.presets import DataDriftPreset

        before, after = pd.DataFrame(base), pd.DataFrame(data)
        begun = time.perf_counter()
        Report([DataDriftPreset()]).run(after, before)
        return time.perf_counter() - begun
