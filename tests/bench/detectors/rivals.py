"""Beside each rival by itself: who runs one of them does not get the best of all, which is known only afterwards."""

from __future__ import annotations

import re
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
    """A line for each tool and each rule, with the best of its rows in a scenario, beside our best row; `standing`: None = not matched."""
    note = (
        "Our best row beside the best row of one tool, or of one rule, whatever it watches there, over the scenarios that it can read and\n"
        f"in which either sees the change; those with fewer than {_LEAST_N} are left out. Above is the best of all rivals, which nobody\n"
        "knows beforehand."
    )
    rules, tools = (_beside(tables, standing, is_of_tool=is_of_tool) for is_of_tool in (False, True))
    return "\n".join(["## Beside each tool and each rule", "", *_lines("tool", tools), "", *_lines("rule", rules), "", note])


def _beside(tables: Mapping[str, list[Row]], standing: Standing, *, is_of_tool: bool) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for name, table in tables.items():
        ours = [row for row in table if row.is_ours]
        makers = {
            row.name: _tool(row.name) if is_of_tool else _rule(row.name, scenarios()[name].watched) for row in table if not row.is_ours
        }
        for maker in sorted(set(makers.values())):
            own = [row for row in table if makers.get(row.name) == maker]
            if word := standing(sorted([*ours, *own], key=table.index)):
                found.setdefault(maker, Counter())[word] += 1
    return found


def _lines(what: str, found: Mapping[str, Counter[str]]) -> list[str]:
    lines = [f"| {what} | scenarios | ours shorter | equal | longer |", "|" + "---|" * 5]
    for maker, counts in sorted(found.items(), key=lambda one: (-_as_good(one[1]), one[0])):
        n = counts.total() - counts["missed by all"]
        if n >= _LEAST_N and not maker.startswith("dummy"):
            lines.append(f"| {maker} | {n} | {counts['shorter']} | {counts['equal']} | {counts['longer']} |")
    return lines


def _tool(row: str) -> str:
    """A row's first word."""
    return re.split(r"\W", row, maxsplit=1)[0]


def _rule(row: str, watched: tuple[str, ...]) -> str:
    """A row's name without what it watches."""
    return next((row.removesuffix(f" ({what})") for what in watched if row.endswith(f" ({what})")), row)


def _as_good(counts: Counter[str]) -> float:
    return (counts["shorter"] + counts["equal"]) / max(1, counts.total() - counts["missed by all"])
