"""river's change detectors: on numbers each column has its own, on labelled pairs they read the errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import protocol
import river
from river import drift
from river.drift import binary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]
    Scores = Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]

_DELTAS = tuple(10.0 ** -np.arange(0.5, 12.1, 0.5))
"""Strictness of the detectors that only say yes or no: one for each runs, the score is -log10 of the strictest that says yes."""
_MOST_COLUMNS_N = 20


def by_statistic(make: Callable[[], Any], statistic: Callable[[Any], float], *, is_binary: bool = False) -> Scores:
    """A detector whose statistic can be read: the largest in a pane, over all series. Warmed up on the reference."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        rows = protocol.series(reference, panes, kinds)
        if not rows or len(rows) > _MOST_COLUMNS_N or (is_binary and "pairs.label" not in kinds):
            return None
        best = np.full(len(panes), protocol.NOTHING)
        for before, now in rows:
            one = make()
            for x in before.tolist():
                one.update(x)
            for at, pane in enumerate(now):
                for x in pane.tolist():
                    one.update(x)
                    best[at] = max(best[at], statistic(one))
        return best.tolist()

    return scores


def by_strictness(make: Callable[[float], Any], *, is_binary: bool = False) -> Scores:
    """A detector that says yes or no, run at every strictness; a detection in the reference is forgotten."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        rows = protocol.series(reference, panes, kinds)
        if not rows or len(rows) > _MOST_COLUMNS_N or (is_binary and "pairs.label" not in kinds):
            return None
        best = np.full(len(panes), protocol.NOTHING)
        for before, now in rows:
            for delta in _DELTAS[::3] if is_binary else _DELTAS:
                one = make(delta)
                for x in before.tolist():
                    one.update(x)
                for at, pane in enumerate(now):
                    for x in pane.tolist():
                        one.update(x)
                        if one.drift_detected:
                            best[at] = max(best[at], -math.log10(delta))
        return best.tolist()

    return scores


def _page_hinkley(one: Any) -> float:
    return max(one._sum_increase - one._min_increase, one._max_decrease - one._sum_decrease)


def _ddm(one: Any) -> float:
    if one._p_min is None or not one._s_min:
        return protocol.NOTHING
    p = one._p.get()
    return float((p + math.sqrt(p * (1 - p) / one._p.n) - one._p_min) / one._s_min)


if __name__ == "__main__":
    protocol.main(
        {
            "river ADWIN": protocol.Rule(by_strictness(lambda delta: drift.ADWIN(delta=min(delta, 0.999))), -math.log10(0.002)),
            "river PageHinkley": protocol.Rule(by_statistic(lambda: drift.PageHinkley(threshold=math.inf), _page_hinkley), 50.0),
            "river DDM": protocol.Rule(by_statistic(lambda: binary.DDM(drift_threshold=math.inf), _ddm, is_binary=True), 3.0),
            "river HDDM_W": protocol.Rule(
                by_strictness(lambda delta: binary.HDDMW(drift_confidence=delta), is_binary=True), -math.log10(0.001)
            ),
        },
        {"river": river.__version__},
    )
