"""How big the service is and how soon it is ready: resident memory after start and after 100,000 records, seconds to /readyz."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

_CONFIG = """
data_dir: {folder}/data
http: {{port: 0}}
tick_s: 1
models:
  - name: bench
    task: tabular-classification
    labels: ["no", "yes"]
    columns: {{{columns}}}
    monitors: {{pane_s: 1, watermark_s: 1}}
"""


def run() -> dict[str, Any]:
    """Start the real service three times, feed the last one, look at /proc."""
    starts = [_started_and_fed(batches_n=n) for n in (0, 0, 100)]
    ready_s, at_start, fed = statistics.median(start[0] for start in starts), *starts[-1][1:]
    rows = [
        {"what": "ready after (median of three starts)", "value": f"{ready_s:.2f} s", "target": "< 3 s"},
        {"what": "resident at start", "value": f"{at_start[0]:.0f} MB", "target": "< 350 MB"},
        {
            "what": "after 100,000 records of 20 columns: resident in the service's process",
            "value": f"{fed[0]:.0f} MB",
            "target": "< 350 MB",
        },
        {"what": "the builder's process with it, shared pages once (PSS)", "value": f"{fed[1]:.0f} MB", "target": "< 350 MB"},
        {"what": "shared pages counted in each", "value": f"{fed[2]:.0f} MB", "target": ""},
    ]
    return {"rows": rows, "says": "The real service with the process that builds its large panes, one model, 20 numeric columns."}


def _started_and_fed(*, batches_n: int) -> tuple[float, Any, Any]:
    """(seconds until it is ready, what it holds then, and once it has been fed)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        columns = ", ".join(f"x{i}: numeric" for i in range(20))
        (folder / "c.yaml").write_text(_CONFIG.format(folder=folder, columns=columns))
        begun = time.perf_counter()
        process = subprocess.Popen(
            [Path(sys.executable).with_name("retuned"), "serve", "--config", str(folder / "c.yaml")], stderr=subprocess.DEVNULL
        )
        try:
            url = _ready(folder / "data" / "service.json")
            ready_s = time.perf_counter() - begun
            at_start = _held(process.pid)
            for batch in range(batches_n):
                httpx.post(f"{url}/v1/records", content=_records(batch), timeout=30).raise_for_status()
            if batches_n:
                _drained(url)
            fed = _held(process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)
    return ready_s, at_start, fed


def _ready(where: Path) -> str:
    while True:
        if where.exists():
            url = str(json.loads(where.read_text())["url"])
            if httpx.get(f"{url}/readyz").status_code == 200:
                return url
        time.sleep(0.01)


def _drained(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        records = httpx.get(f"{url}/v1/models/bench", timeout=30).json()["counters"].get("records", {})
        if sum(records.values()) >= 100_000:
            return
        time.sleep(0.2)


def _records(batch: int) -> bytes:
    at = datetime.now(UTC).isoformat()
    rows = (
        {
            "id": f"{batch}-{i}",
            "model": "bench",
            "version": "1",
            "at": at,
            "inputs": {f"x{j}": (i * 31 + j * 7) % 1000 / 10 for j in range(20)},
            "output": {"label": "yes" if i % 2 else "no", "scores": {"yes": 0.6, "no": 0.4}},
        }
        for i in range(1000)
    )
    return "\n".join(json.dumps(row) for row in rows).encode()


def _held(pid: int) -> tuple[float, float, float]:
    """MB: resident in the service's own process; in it and its processes, pages that they share counted once (PSS); counted twice."""
    service = psutil.Process(pid)
    all_of_it = [process.memory_full_info() for process in (service, *service.children(recursive=True))]
    found = all_of_it[0].rss, sum(each.pss for each in all_of_it), sum(each.rss for each in all_of_it)
    own, once, twice = (float(n) / 2**20 for n in found)
    return own, once, twice
