"""The head of the page: what was promised of accuracy, line by line, beside what anybody could reach."""

from __future__ import annotations

import textwrap
from typing import Any

from tests.bench.estimates.bound import MORE, SETTINGS_N
from tests.bench.estimates.judge import CORRECTED, INPUTS, LABELLED, RIVAL

Rows = dict[str, dict[str, float]]
_SAME, _NEARER, _CLEARLY = 1.005, 0.99, 0.9
"""Times NannyML's error: no worse to a hundredth, nearer by a hundredth, clearly nearer by a tenth."""
_FEW, _MANY = (f"{100 * share:.0f} % labels" for share in (LABELLED, MORE))
_COLUMNS = {
    "free": "without labels: `cbpe_inputs`",
    "map": "the scores' worth known",
    "few": f"{_FEW}: `cbpe_corrected`",
    "oracle": "oracle",
    "least": "least expected",
    "oracle_more": f"{_MANY}: oracle",
    "least_more": "least expected",
}


def promise(found: dict[str, Any]) -> list[str]:
    """Five lines and the table that they speak of."""
    rows = {name: _over(judged) for name, judged in found.items()}
    head = ["set", "NannyML's error", *_COLUMNS.values()]
    return [
        "Promised of accuracy (mean absolute error, divided by NannyML's), and kept or not:",
        "",
        *(textwrap.fill(f"{i}. {line}", 140, subsequent_indent="   ") for i, line in enumerate([*_free(rows), *_few(rows)], 1)),
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *(f"| {name} | {row['rival']:.4f} | " + " | ".join(f"{row[key]:.2f}x" for key in _COLUMNS) + " |" for name, row in rows.items()),
        "",
        f"The oracle follows the offset with a Kalman filter and knows the labelled records: the best of {SETTINGS_N:,} settings for",
        'this very set and draws (tests/bench/estimates/bound.py). "Least expected": Bayes\' risk where offsets are normal with the mean',
        "square of this set, for the easiest of these ways to last, over what the scores alone expect there. On ten chunks luck puts one",
        "below the other. Both bound rules that read scores and labels; inputs that say more could go below.",
        "",
    ]


def _free(rows: Rows) -> list[str]:
    """What is said of estimates without labels."""
    worst = max(row["free"] for row in rows.values())
    near = [name for name, row in rows.items() if row["free"] <= _NEARER]
    most = 100.0 * (1.0 - min(row["map"] for row in rows.values()))
    better = (
        f"Better on most without labels: {_kept(len(near) > len(rows) / 2)}. Nearer by a hundredth or more: {_named(rows, near, 'free')}. "
        "Who had learnt what scores are worth from the late targets of the nine other chunks, which nobody knows before, would read "
        f"{_list(rows, list(rows), 'map')}: so much is to be had by reading scores alone, {most:.0f} hundredths at most."
    )
    return [f"No worse on any set without labels: {_kept(worst <= _SAME)}. `cbpe_inputs` is at most {worst:.2f}x.", better]


def _few(rows: Rows) -> list[str]:
    """What is said of estimates with few labels."""
    clear = [name for name, row in rows.items() if row["few"] <= _CLEARLY]
    left = [name for name in rows if name not in clear]
    better = (
        f"Clearly better with {_FEW}: {_kept(not left)} on all. By a tenth or more: {_named(rows, clear, 'few')}; "
        f"not: {_named(rows, left, 'few')}."
    )
    least = (
        "There it can hardly be. An oracle with the same labels, who knows how large the scores' offset is, how long it lasts and in which "
        f"chunk it begins, reads {_list(rows, left, 'oracle')} on these; where offsets are as large, no rule can expect less than "
        f"{_list(rows, left, 'least')}."
    )
    more = (
        f"What would help is more labels: with {_MANY} the oracle reads {_list(rows, left, 'oracle_more')}. Choosing the {_FEW} by doubt "
        f"(a label plan) helps little: what they say of the offset has {_list(rows, left, 'planned')} of the variance."
    )
    return [better, least, more]


def _over(judged: dict[str, Any]) -> dict[str, float]:
    methods, bounds = judged["methods"], judged["bounds"]
    rival = methods[RIVAL]["accuracy"][0]
    scores, least, least_more = bounds["expected"]
    return {
        "rival": rival,
        "free": methods[INPUTS]["accuracy"][0] / rival,
        "map": bounds["map"] / rival,
        "few": methods[CORRECTED]["accuracy"][0] / rival,
        "oracle": bounds["oracle"][0] / rival,
        "least": least / scores,
        "oracle_more": bounds["oracle"][1] / rival,
        "least_more": least_more / scores,
        "planned": bounds["planned"],
    }


def _kept(is_kept: bool) -> str:
    return "kept" if is_kept else "not kept"


def _named(rows: Rows, names: list[str], key: str) -> str:
    return ", ".join(f"{name} {rows[name][key]:.2f}" for name in names) or "none"


def _list(rows: Rows, names: list[str], key: str) -> str:
    return " / ".join(f"{rows[name][key]:.2f}" for name in names)
