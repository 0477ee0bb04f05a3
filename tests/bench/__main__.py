"""`make bench`: every benchmark in a process of its own, its table printed and written to docs/benchmarks.md.

Figures are ratios taken in one run on one machine; nothing here is an assertion.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_BENCHES = ("ingest", "intake", "tick", "columns", "sketches", "footprint", "training", "embedding")
_PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> None:
    """All of them, or those named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_BENCHES)}; all of them when none is named")
    parser.add_argument("--one", action="store_true", help="run the one that is named here and print its figures; the page stays as it is")
    asked = parser.parse_args()
    chosen = asked.names or list(_BENCHES)
    if unknown := sorted(set(chosen) - set(_BENCHES)):
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(_BENCHES)}")
    if asked.one:
        print(json.dumps(importlib.import_module(f"tests.bench.{chosen[0]}").run()))
        return
    kept = _kept()
    for name in chosen:
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench", "--one", name], check=False, stdout=subprocess.PIPE, text=True, timeout=3600
        )
        if done.returncode:
            print(f"{name} failed with {done.returncode}")
            continue
        kept[name] = json.loads(done.stdout.strip().splitlines()[-1])
        print(_table(kept[name]), flush=True)
    _PAGE.write_text(_page(kept))


def _kept() -> dict[str, Any]:
    """Results of earlier runs of other benchmarks, from the page's last block."""
    if not _PAGE.exists() or "```json\n" not in _PAGE.read_text():
        return {}
    return dict(json.loads(_PAGE.read_text().rsplit("```json\n", 1)[1].split("```")[0]))


def _table(result: dict[str, Any]) -> str:
    """{"rows": [{column: value}], "says": "…"} as Markdown."""
    rows = result["rows"]
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for row in rows]
    return "\n".join([*lines, "", result.get("says", "")])


def _page(kept: dict[str, Any]) -> str:
    today = datetime.now(UTC).date()
    head = f"""# Benchmarks

Written by `make bench` ({today}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}).
How soon a change is seen: [benchmarks-detectors.md](benchmarks-detectors.md), by `make bench-detectors`.
The peer runs beside ours in the same run on the same data; read ratios, not seconds.
Load average at the end: {os.getloadavg()[1]:.0f}. Above {os.cpu_count()}, other work was going on, and ratios by the clock are uncertain.
Not of speed: [estimates of performance](benchmarks-estimates.md) beside NannyML's.
"""
    parts = [f"## {name}\n\n{_table(result)}" for name, result in kept.items()]
    return "\n\n".join([head.strip(), *parts, "## Raw\n\n```json\n" + json.dumps(kept, indent=1) + "\n```\n"])


if __name__ == "__main__":
    main()
