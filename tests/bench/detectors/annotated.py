"""Scenarios from river's real series with change points that people annotated: rows before and after one that most agree on.

`SCENARIOS` draw rows anew, with replacement, within their segment, so that quiet streams of any length can be had: the distributions
are real, their order is not, and rank tests are given the exchangeable rows that they assume. `IN_ORDER` runs once through each series as
it came; only the quiet streams that thresholds are matched on are drawn anew.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_NUMERIC: dict[str, dict[str, dict[str, Any]]] = {"retuned conformal_numeric": {"conformal_numeric": {}}}


@cache
def _series(name: str) -> Floats:
    """All rows of a data set, shape (n, columns)."""
    from river.drift import datasets

    rows = [x if isinstance(x, dict) else {"x": x} for _, x in getattr(datasets, name)()]
    return np.array([list(row.values()) for row in rows], dtype=np.float64)


def _occupancy() -> Floats:
    return _series("Occupancy")


def _runs() -> Floats:
    return _series("RunLog")[:, :1]


def _bitcoin() -> Floats:
    """Daily log returns and their size."""
    returns = np.diff(np.log(_series("Bitcoin")[:, 0]), prepend=np.nan)
    return np.stack([returns, np.abs(returns)], axis=1)


def _apple() -> Floats:
    """Daily log return, range and volume."""
    opening, high, low, close, _, volume = _series("Apple").T
    return np.stack([np.log(close / opening), np.log(high / low), np.log(volume)], axis=1)


def _segments(rows: Callable[[], Floats], start: int, change: int, end: int) -> Callable[[np.random.Generator, Floats], Rows]:
    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        values = rows()
        before, after = rng.integers(start, change, len(much)), rng.integers(change, end, len(much))
        taken = values[np.where(rng.random(len(much)) < much, after, before)]
        return {f"x{column}": taken[:, column] for column in range(taken.shape[1])}

    return draw


def _in_order(rows: Callable[[], Floats], start: int, change: int) -> Callable[[np.random.Generator, Floats], Rows]:
    """Quiet: drawn anew from before the change. Drifting: the rows as they came, so many before it as are not to be moved."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        first = change - int((much == 0.0).sum())
        taken = rows()[np.arange(first, first + len(much)) if much.any() else rng.integers(start, change, len(much))]
        return {f"x{column}": taken[:, column] for column in range(taken.shape[1])}

    return draw


def _scenario(name: str, says: str, columns_n: int, draw: Callable[[np.random.Generator, Floats], Rows], **given: Any) -> Scenario:
    kinds = {f"x{column}": "numeric" for column in range(columns_n)}
    sizes: dict[str, Any] = {"pane_n": 20, "reference_n": 300, "null": (48, 120), "drift": (64, 8, 30)}
    return Scenario(id=name, says=says, kinds=kinds, draw=draw, ours=_NUMERIC, **(sizes | given))


def _passed(name: str, says: str, columns_n: int, draw: Callable[[np.random.Generator, Floats], Rows], **given: Any) -> Scenario:
    return _scenario(name, says, columns_n, draw, pane_n=10, null=(24, 120), **given)


_ROOM, _PACE = "4 room sensors", "pace of a run"
_RETURN, _SHARE = "daily return and its size", "return, range, volume"

SCENARIOS = (
    _scenario(
        "river-occupancy",
        f"river Occupancy, rows resampled before and after its annotated change (238): {_ROOM}",
        4,
        _segments(_occupancy, 142, 238, 416),
    ),
    _scenario(
        "river-run-log", f"river RunLog, rows resampled before and after its annotated change (60): {_PACE}", 1, _segments(_runs, 0, 60, 96)
    ),
    _scenario(
        "river-bitcoin",
        f"river Bitcoin, rows resampled before and after its annotated change (747): {_RETURN}",
        2,
        _segments(_bitcoin, 580, 747, 822),
    ),
    _scenario(
        "river-apple",
        f"river Apple, rows resampled before and after its annotated change (week 319): {_SHARE}",
        3,
        _segments(_apple, 600, 957, 1209),
    ),
)
IN_ORDER = (
    _passed("in-order-occupancy", f"river Occupancy: {_ROOM}", 4, _in_order(_occupancy, 142, 238), reference_n=36, drift=(1, 6, 17)),
    _passed("in-order-run-log", f"river RunLog: {_PACE}", 1, _in_order(_runs, 0, 60), reference_n=20, drift=(1, 4, 3)),
    _passed("in-order-bitcoin", f"river Bitcoin: {_RETURN}", 2, _in_order(_bitcoin, 580, 747), reference_n=60, drift=(1, 10, 7)),
    _passed("in-order-apple", f"river Apple: {_SHARE}", 3, _in_order(_apple, 600, 957), reference_n=150, drift=(1, 20, 25)),
)
"""One pass through each, from the change before (or the start) to the next one, by `reference_n` and whole panes."""
