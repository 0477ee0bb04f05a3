"""What a profile of numbers costs: sketches of 20 columns beside whylogs (in an environment of its own) and Evidently on the same frame."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from detectors.sketches.summary import merge_summaries, summarise, summary_to_bytes
from detectors.types import ColumnKind
from tests.bench.environments import python_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_COLUMNS_N, _ROUNDS = 20, 3
_KINDS = {f"input.x{i}": ColumnKind.NUMERIC for i in range(_COLUMNS_N)}
_SIZES = (100_000, 1_000_000)
_PANE_N = 10_000
_EVIDENTLY_UP_TO = 100_000


def run() -> dict[str, Any]:
    """One row a size and tool; CPU seconds, for all run on one core and other work may share the machine."""
    rows: list[dict[str, str]] = []
    _one_pass(np.zeros((_PANE_N, _COLUMNS_N)))  # imports and first allocations are not counted
    for n in _SIZES:
        values = np.random.default_rng(0).normal(size=(n, _COLUMNS_N))
        tools: dict[str, Callable[[NDArray[np.float64]], tuple[float, int]]] = {
            "retuned, one pass": _one_pass,
            f"retuned, panes of {_PANE_N:,} merged": _in_panes,
            "whylogs 1.6.4": _whylogs,
        }
        if n <= _EVIDENTLY_UP_TO:
            tools["Evidently DataSummaryPreset"] = _evidently
        rounds = [{name: tool(values) for name, tool in tools.items()} for _ in range(_ROUNDS)]
        spent = {name: median(found[name][0] for found in rounds) for name in tools}
        rows += [_row(n, name, spent[name], rounds[0][name][1], spent["retuned, one pass"]) for name in tools]
    says = f"{_COLUMNS_N} columns of normal numbers, medians of {_ROUNDS} rounds in turn. Target: 10 million values a second and core."
    return {"rows": rows, "says": says}


def _row(n: int, name: str, seconds: float, size: int, ours: float) -> dict[str, str]:
    return {
        "rows": f"{n:,}",
        "what": name,
        "CPU, s": f"{seconds:.2f}",
        "million values/s and core": f"{n * _COLUMNS_N / seconds / 1e6:.1f}",
        "kB a column": f"{size / _COLUMNS_N / 1000:.1f}" if size else "keeps the rows",
        "times our CPU": f"{seconds / ours:.1f}x",
    }


def _one_pass(values: NDArray[np.float64]) -> tuple[float, int]:
    columns = dict(zip(_KINDS, np.ascontiguousarray(values.T), strict=True))
    start = time.process_time()
    found = summarise(columns, _KINDS)
    return time.process_time() - start, len(summary_to_bytes(found))


def _in_panes(values: NDArray[np.float64]) -> tuple[float, int]:
    """As the service does: each pane for itself, then one window of them."""
    columns = np.ascontiguousarray(values.T)
    start = time.process_time()
    found = summarise({}, _KINDS)
    for at in range(0, len(values), _PANE_N):
        pane = dict(zip(_KINDS, columns[:, at : at + _PANE_N], strict=True))
        found = merge_summaries(found, summarise(pane, _KINDS))
    return time.process_time() - start, len(summary_to_bytes(found))


def _whylogs(values: NDArray[np.float64]) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.npy"
        np.save(path, values)
        command = [python_of("whylogs"), str(Path(__file__).with_name("whylogs_profile.py")), str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return float(found["seconds"]), int(found["bytes"])


def _evidently(values: NDArray[np.float64]) -> tuple[float, int]:
    from evidently import Dataset, Report
    from evidently.presets import DataSummaryPreset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = Dataset.from_pandas(pd.DataFrame(values, columns=list(_KINDS)))
        start = time.process_time()
        Report([DataSummaryPreset()]).run(frame, None)
        return time.process_time() - start, 0
