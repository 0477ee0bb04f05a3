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
SCORES = "pairs.scores."
"""What the columns of classes' scores begin with."""


class Rule(NamedTuple):
    """One row of the table for each thing that rivals watch; or one for all."""

    scores: Callable[[Columns, Sequence[Columns], Mapping[str, str]], Sequence[float] | None]
    shipped: float | None
    """The score at which the rule alarms as its makers ship it; None = no such default for a look."""
    is_whole: bool = False
    """It reads the case itself, labels and scores at once, instead of one of the things to watch."""


View = tuple["Columns", "Sequence[Columns]", "Mapping[str, str]"]
"""(reference, panes, kinds): what a rule reads."""


def options() -> dict[str, Any]:
    """{"skip": rows that would take hours on this case, "ours": rows of this project and their detectors}."""
    return dict(json.loads(sys.argv[3]))


def main(rules: Mapping[str, Rule], versions: Mapping[str, str], views: Callable[..., Mapping[str, View]] | None = None) -> None:
    """Score every stream of the case by every rule; `views(reference, panes, about)` makes of a stream what there is to watch, by name."""
    skipped = options()["skip"]
    case, out = np.load(sys.argv[1], allow_pickle=False), {}
    about = json.loads(str(case["about"]))
    said: dict[str, Any] = {"versions": dict(versions), "shipped": {}, "seconds": {}}
    for name, rule in rules.items():
        if name in skipped:
            continue
        before = time.process_time()
        found = _scored(rule, case, about, None if rule.is_whole else views)
        for suffix, parts in found.items():
            row = name + suffix
            out |= {f"{part}/{row}": np.asarray(scores, dtype=np.float64) for part, scores in parts.items()}
            said["shipped"][row] = rule.shipped
            said["seconds"][row] = (time.process_time() - before) / len(found)
    np.savez_compressed(Path(sys.argv[2]), about=json.dumps(said), **out)


def _scored(
    rule: Rule, case: Mapping[str, np.ndarray], about: Mapping[str, Any], views: Callable[..., Mapping[str, View]] | None
) -> dict[str, dict[str, list[Any]]]:
    """What a row's name ends with -> part -> scores of each stream; without what the rule cannot read."""
    found: dict[str, dict[str, list[Any]]] = {}
    mute = set()
    for part in PARTS:
        for reference, panes in streams(case, about, part):
            seen = {"": (reference, panes, about["kinds"])} if views is None else views(reference, panes, about)
            for suffix in (suffix for suffix in seen if suffix not in mute):
                scores = rule.scores(*seen[suffix])
                if scores is None:
                    mute.add(suffix)
                else:
                    found.setdefault(suffix, {part: [] for part in PARTS})[part].append(scores)
    return {suffix: parts for suffix, parts in found.items() if suffix not in mute}


def streams(case: Mapping[str, np.ndarray], about: Mapping[str, Any], part: str) -> Iterator[tuple[Columns, list[Columns]]]:
    """(reference, panes) of each stream; categories and texts as object arrays with None = missing.

    Beside a key, `NAME.again` says whether it came before in this stream, its reference included.
    """
    words = {name: np.asarray([*vocabulary, None], dtype=object) for name, vocabulary in about["vocabularies"].items()}
    arrays = {name: (case[f"reference/{part}/{name}"], case[f"stream/{part}/{name}"]) for name in about["kinds"]}
    for at in range(len(next(iter(arrays.values()))[0])):
        rows = {name: tuple(_read(values[at], words.get(name)) for values in pair) for name, pair in arrays.items()}
        rows |= {f"{name}.again": _again(*rows[name]) for name in named(about["kinds"], "key")}
        n, size = len(next(iter(rows.values()))[1]), about["pane_n"]
        panes = [{name: both[1][start : start + size] for name, both in rows.items()} for start in range(0, n, size)]
        yield {name: both[0] for name, both in rows.items()}, panes


def _read(values: np.ndarray, words: np.ndarray | None) -> np.ndarray:
    return values.astype(np.float64) if words is None else words[values]


def _again(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = np.ones(len(before) + len(now))
    found[np.unique(np.concatenate([before, now]), return_index=True)[1]] = 0.0
    return found[: len(before)], found[len(before) :]


def known(values: np.ndarray) -> np.ndarray:
    """Without missing ones."""
    return values[is_known(values)]


def is_known(values: np.ndarray) -> np.ndarray:
    """Which are not missing."""
    return np.asarray([v is not None for v in values], dtype=np.bool_) if values.dtype == object else ~np.isnan(values)


def named(kinds: Mapping[str, str], *wanted: str) -> list[str]:
    """Columns of these kinds."""
    return [name for name, kind in kinds.items() if kind in wanted]


def classes(kinds: Mapping[str, str]) -> list[str]:
    """Whose scores there are, in their order."""
    return [name.removeprefix(SCORES) for name in kinds if name.startswith(SCORES)]


def latest(rows: Columns, name: str) -> np.ndarray:
    """A column of answers or scores, of the records that came: other ones than those of the pairs where labels are late."""
    return rows.get(f"latest.{name}", rows[name])


class Series(NamedTuple):
    """Numbers to watch."""

    before: np.ndarray
    now: list[np.ndarray]
    signs: tuple[float, ...]
    """1 = a rise is what matters, -1 = a fall."""
    is_binary: bool


def series(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[Series]:
    """Of each column: numbers and losses standardised, 0/1 as they are."""
    found = []
    for name in named(kinds, "numeric", "loss", "binary"):
        before, is_binary = known(reference[name]), kinds[name] == "binary"
        mean, sd = (0.0, 1.0) if is_binary else (before.mean(), before.std() or 1.0)
        now = [(known(pane[name]) - mean) / sd for pane in panes]
        found.append(Series((before - mean) / sd, now, (1.0, -1.0) if kinds[name] == "numeric" else (1.0,), is_binary))
    return found
