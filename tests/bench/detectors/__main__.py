"""`make bench-detectors`: how soon each detector sees a change, all at the same mean run length between false alarms.

    python -m tests.bench.detectors [--only SCENARIO …] [--quick] [--minutes N]

Writes docs/benchmarks-detectors.md. What was scored before, by unchanged code on unchanged data, is taken from .cache/bench-detectors.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import TYPE_CHECKING

from tests.bench.detectors.page import write_page
from tests.bench.detectors.scenarios import in_order, scenarios
from tests.bench.detectors.score import is_kept, scored

if TYPE_CHECKING:
    from tests.bench.detectors.case import Scenario


def main() -> None:
    """All scenarios, or those named; `--quick` on a quarter of the streams. Either is printed and not written to the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.detectors", description=__doc__)
    every = scenarios() | in_order()
    parser.add_argument("--only", nargs="+", choices=sorted(every), default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--minutes", type=float, default=120.0, help="what is not scored by then waits for the next run; the page says so")
    asked = parser.parse_args()
    until, results = time.monotonic() + 60.0 * asked.minutes, {}
    for name, scenario in every.items():
        if asked.only and name not in asked.only:
            continue
        chosen = _quarter(scenario) if asked.quick and name in scenarios() else scenario
        if time.monotonic() < until or is_kept(chosen):
            print(f"== {name}", flush=True)
            results[name] = scored(chosen)
    write_page(results, is_whole=not (asked.only or asked.quick))


def _quarter(scenario: Scenario) -> Scenario:
    null, drift = scenario.null, scenario.drift
    return dataclasses.replace(scenario, null=(max(4, null[0] // 4), null[1]), drift=(max(4, drift[0] // 4), *drift[1:]))


if __name__ == "__main__":
    main()
