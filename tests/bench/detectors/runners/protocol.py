"""What every runner speaks, with numpy alone, so that it runs in any rival's environment: a case in, one score a look out.

    python run_X.py CASE.npz SCORES.npz OPTIONS.json

A runner offers rules: `rule(reference, panes, kinds) -> scores`, one score a pane, larger = more drift, -inf = nothing to say.
A rule may read the panes at once, but a score must not depend on later panes. One that cannot read these columns returns None: no row.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

NOTHING = -np.inf
PARTS = ("null", "drift")


class Rule(NamedTuple):
    """One row of the table."""

    scores: Callable[[Columns, Sequence[Columns], Mapping[str, str]], Sequence[float] | None]
    shipped: float | None
    """The score at which the rule alarms as its makers ship it; None = no such default for a look."""


def options() -> dict[str, Any]:
    """{"skip": rows that would take hours on this case, "ours": rows of this project and their detectors}."""
    return dict(json.loads(sys.argv[3]))


def main(rules: Mapping[str, Rule], versions: Mapping[str, str]) -> None:
    """Score every stream of the case by every rule."""
    skipped = options()["skip"]
    case, out = np.load(sys.argv[1], allow_pickle=False), {}
    about = json.loads(str(case["about"]))
    said: dict[str, Any] = {"versions": dict(versions), "shipped": {}, "seconds": {}}
    for name, rule in rules.items():
        if name in skipped:
            continue
        before = time.process_time()
        found: dict[str, list[Any]] = {part: [] for part in PARTS}
        for part in PARTS:
            for reference, panes in streams(case, about, part):
                found[part].append(rule.scores(reference, panes, about["kinds"]))
                if found[part][-1] is None:
                    break
        if any(scores is None for part in PARTS for scores in found[part]):
            continue
        for part in PARTS:
            out[f"{part}/{name}"] = np.asarray(found[part], dtype=np.float64)
        said["shipped"][name] = rule.shipped
        said["seconds"][name] = time.process_time() - before
    np.savez_compressed(Path(sys.argv[2]), about=json.dumps(said), **out)


def streams(case: Mapping[str, np.ndarray], about: Mapping[str, Any], part: str) -> Iterator[tuple[Columns, list[Columns]]]:
    """(reference, panes) of each stream; categories and texts as object arrays with None = missing."""
    words = {name: np.asarray([*vocabulary, None], dtype=object) for name, vocabulary in about["vocabularies"].items()}
    arrays = {name: (case[f"reference/{part}/{name}"], case[f"stream/{part}/{name}"]) for name in about["kinds"]}
    for at in range(len(next(iter(arrays.values()))[0])):
        rows = {name: tuple(_read(values[at], words.get(name)) for values in pair) for name, pair in arrays.items()}
        n, size = len(next(iter(rows.values()))[1]), about["pane_n"]
        panes = [{name: both[1][start : start + size] for name, both in rows.items()} for start in range(0, n, size)]
        yield {name: both[0] for name, both in rows.items()}, panes


def _read(values: np.ndarray, words: np.ndarray | None) -> np.ndarray:
    return values.astype(np.float64) if words is None else words[values]


def known(values: np.ndarray) -> np.ndarray:
    """Without missing ones."""
    return values[[v is not None for v in values]] if values.dtype == object else values[~np.isnan(values)]


def named(kinds: Mapping[str, str], *wanted: str) -> list[str]:
    """Columns of these kinds."""
    return [name for name, kind in kinds.items() if kind in wanted]


def errors(panes: Sequence[Columns]) -> list[np.ndarray]:
    """0/1 error of each pane's labelled pairs whose label has come."""
    return [
        np.asarray(pane["pairs.predicted"] != pane["pairs.label"])[[v is not None for v in pane["pairs.label"]]].astype(float)
        for pane in panes
    ]


def series(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """(reference, panes) of each series to watch: standardised numbers, or errors."""
    if "pairs.label" in kinds:
        return [(errors([reference])[0], errors(panes))]
    found = []
    for name in named(kinds, "numeric"):
        before = known(reference[name])
        mean, sd = before.mean(), before.std() or 1.0
        found.append(((before - mean) / sd, [(known(pane[name]) - mean) / sd for pane in panes]))
    return found
