"""What the lives of whole models say of the one knob: how many times longer they are than was promised, and whose the room is."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import chi2

from tests.prove import results
from tests.prove.limits import least_mean_run
from tests.prove.lives import BOUND_N, MOST_PANES, PER_PANE, REFERENCE_N
from tests.prove.models import KINDS, PROMISED_N
from tests.prove.results import WHOLE
from tests.prove.verdicts import Row

Lives = list[dict[str, Any]]
_LEVEL = 0.95


def kept(kind: str, found: Lives) -> Row:
    """Of one kind of model; a life without an alarm counts with its panes, so the mean is at least what is shown."""
    runs, n = np.array([life["panes"] for life in found], dtype=np.float64), len(found)
    by = Counter(life["by"][1] for life in found if life["by"])
    error = 1.645 * float(runs.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    figure = f"{'>= ' if by.total() < n else ''}{runs.mean():.0f} panes (95 %: from {runs.mean() - error:.0f}), "
    figure += f"{_times(runs.sum() / PROMISED_N, by.total())} times the promise; "
    figure += ", ".join(f"{name} {k}" for name, k in by.most_common()) or "no alarm"
    limit = least_mean_run(n, PROMISED_N)
    return Row(WHOLE, kind, f"mean run >= {PROMISED_N} panes", figure, f"{limit:.1f}", n, bool(runs.mean() >= limit))


def section(rows: list[Row]) -> str:
    """Without its heading."""
    head = "| model | what it is | mean run | lives | holds |\n|---|---|---|---|---|"
    says = {kind.name: kind.says for kind in KINDS}
    lines = [f"| {r.what} | {says[r.what]} | {r.figure} | {r.n} | {r.holds} |" for r in rows]
    return "\n\n".join([_INTRODUCTION, "\n".join([head, *lines]), _GROUPS, _groups()])


_INTRODUCTION = f"""Guarantee: one false alarm in at least {PROMISED_N} panes on average, of all that alarms for a model together.
Assumption: its detectors'.

Built from settings as the service builds them, at that promise. Each life has a world of its own, a reference of {REFERENCE_N} rows,
{BOUND_N} labelled bound rows, panes of {PER_PANE} records in the mean and labels of half of them; it ends with the first alarm of
any detector or after {MOST_PANES} panes. "Times the promise": panes lived per alarm over {PROMISED_N}, and what that is at least
(95 %, if alarms come evenly). Then the detectors that gave the first alarms."""
_GROUPS = "Of all these lives: the false alarms that each group of monitors may have had by its share of the rate, and those it had."


def _groups() -> str:
    allowed: Counter[str] = Counter()
    had: Counter[str] = Counter()
    found = [life for kind in KINDS for life in results.load(WHOLE, f"life/{kind.name}")]
    for life in found:
        had.update([life["by"][0]] if life["by"] else [])
        for group, (rate, once) in life["rates"].items():
            allowed[group] += life["panes"] * rate + once
    lines = [f"| {group} | {n:.1f} | {had[group]} | {_times(n, had[group])} |" for group, n in allowed.most_common()]
    return "\n".join(["| group | may have had | had | times fewer |\n|---|---|---|---|", *lines])


def _times(allowed: float, had: int) -> str:
    """How many times fewer alarms than allowed; the lower bound is exact for a Poisson number of them."""
    least = 2.0 * allowed / float(chi2.ppf(_LEVEL, 2 * (had + 1)))
    return f"{allowed / had:.1f} (from {least:.1f})" if had else f"more than {least:.1f}"
