"""Scenarios from river's real series with change points that people annotated: rows before and after one that most agree on.

Rows are drawn anew within their segment, so that quiet streams of any length can be had: the distributions are real, their order is not.
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


def _scenario(name: str, says: str, columns_n: int, draw: Callable[[np.random.Generator, Floats], Rows]) -> Scenario:
    kinds = {f"x{column}": "numeric" for column in range(columns_n)}
    sizes: dict[str, Any] = {"pane_n": 20, "reference_n": 300, "null": (12, 120), "drift": (16, 8, 30)}
    return Scenario(id=name, says=says, kinds=kinds, draw=draw, ours=_NUMERIC, **sizes)


SCENARIOS = (
    _scenario("river-occupancy", "river Occupancy, annotated change at 238: 4 room sensors", 4, _segments(_occupancy, 142, 238, 416)),
    _scenario("river-run-log", "river RunLog, annotated change at 60: pace of a run", 1, _segments(_runs, 0, 60, 96)),
    _scenario("river-bitcoin", "river Bitcoin, annotated change at 747: daily return and its size", 2, _segments(_bitcoin, 580, 747, 822)),
    _scenario("river-apple", "river Apple, annotated change at week 319: return, range, volume", 3, _segments(_apple, 600, 957, 1209)),
)
