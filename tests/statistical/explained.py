"""Labelled traffic, quiet and then moved, through detectors that explain: what each says after every pane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.types import Increment, Pairs, Reference, Verdict

COLUMNS = ("input.a", "input.b", "input.c", "input.channel")
PANE_N = 50
_START = datetime(2026, 1, 1, tzinfo=UTC)


def inputs(rng: np.random.Generator, n: int, shift: float, *, hidden: bool) -> tuple[NDArray[Any], NDArray[Any], dict[str, NDArray[Any]]]:
    """(a and b and c, shape (3, n); whether the channel is the shop; the columns). b moves, and a; where errors are hidden c instead."""
    abc = rng.normal(size=(3, n)) + shift * np.array([[1.0 - hidden], [1.0], [float(hidden)]])
    channel = rng.choice(["web", "app", "shop"], n, p=[0.5, 0.3, 0.2])
    columns: dict[str, NDArray[Any]] = {f"input.{name}": values for name, values in zip("abc", abc, strict=True)}
    return abc, channel == "shop", {**columns, "input.channel": channel.astype(object)}


def followed(
    detectors: Mapping[str, Any],
    calm: Callable[[int], Pairs],
    moved: Callable[[int], Pairs],
    *,
    reference_n: int = 1000,
    before_n: int = 1000,
    after_n: int = 2000,
    pane_n: int = PANE_N,
) -> list[dict[str, Verdict]]:
    """The detectors' verdicts after each pane of the second part, by their names here; `calm` and `moved` draw so many pairs."""
    reference = Reference(columns={}, kinds={}, sketches={}, bound=calm(reference_n), digest="")
    states = {name: d.start(reference) for name, d in detectors.items()}
    found = []
    for i in range((before_n + after_n) // pane_n):
        is_after = i * pane_n >= before_n
        at = _START + timedelta(minutes=i)
        pane = Increment(start=at, end=at, columns={}, pairs=(moved if is_after else calm)(pane_n))
        stepped = {name: d.step(states[name], pane) for name, d in detectors.items()}
        states = {name: state for name, (state, _) in stepped.items()}
        if is_after:
            found.append({name: verdict for name, (_, verdict) in stepped.items()})
    return found


def first_said(panes: Iterable[Mapping[str, bool]]) -> dict[str, int]:
    """Word -> first pane in which it is ever said."""
    words: dict[str, int] = {}
    for i, said in enumerate(panes):
        words = {word: i for word, is_said in said.items() if is_said} | words
    return words


def cell(streams: list[dict[str, int]], word: str) -> str:
    """In how many streams a word was ever said, and after how many labelled records (median)."""
    when = [(words[word] + 1) * PANE_N for words in streams if word in words]
    return f"{len(when)} of {len(streams)}" + (f", after {np.median(when):.0f}" if when else "")
