"""Beside each rival by itself: who runs one of them does not get the best of all, which is known only afterwards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.bench.detectors.scenarios import scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.bench.detectors.page import Row

    Standing = Callable[[list[Row]], str | None]

_LEAST_N = 5
"""Scenarios that a rule reads; fewer are no comparison."""


def section(tables: Mapping[str, list[Row]], standing: Standing) -> str:
    """A line for each rule, with the best of what it may watch in a scenario, and our best row; `standing`: None = not matched."""
    found: dict[str, Counter[str]] = {}
    for name, table in tables.items():
        ours = [row for row in table if row.is_ours]
        rules = {row.name: _rule(row.name, scenarios()[name].watched) for row in table if not row.is_ours}
        for rule in sorted(set(rules.values())):
            own = [row for row in table if rules.get(row.name) == rule]
            if word := standing(sorted([*ours, *own], key=table.index)):
                found.setdefault(rule, Counter())[word] += 1
    lines = ["| rule | scenarios | ours shorter | equal | longer |", "|" + "---|" * 5]
    for rule, counts in sorted(found.items(), key=lambda one: (-_as_good(one[1]), one[0])):
        n = counts.total() - counts["missed by all"]
        if n >= _LEAST_N and not rule.startswith("dummy"):
            lines.append(f"| {rule} | {n} | {counts['shorter']} | {counts['equal']} | {counts['longer']} |")
    note = (
        "Our best row beside the best row of one rule, whatever it watches there, over the scenarios that it can read and in which either\n"
        f"sees the change; rules with fewer than {_LEAST_N} are left out. Above is the best of all rivals, which nobody knows beforehand."
    )
    return "\n".join(["## Beside each rule", "", *lines, "", note])


def _rule(row: str, watched: tuple[str, ...]) -> str:
    """A row's name without what it watches."""
    return next((row.removesuffix(f" ({what})") for what in watched if row.endswith(f" ({what})")), row)


def _as_good(counts: Counter[str]) -> float:
    return (counts["shorter"] + counts["equal"]) / max(1, counts.total() - counts["missed by all"])
