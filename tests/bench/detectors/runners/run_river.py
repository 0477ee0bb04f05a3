"""river's change detectors: each series has its own; some read 0 and 1 alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import protocol
import river
import watched
from river import drift
from river.drift import binary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]
    Scores = Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]

_DELTAS = (0.999, *(10.0 ** -(np.arange(1, 60) / 20.0)).tolist(), 0.001)
"""Strictness of a detector that only says yes or no: one for each runs, the score is -log10 of the strictest that says yes.

Close together, so that it can be matched at a run length as one with a statistic can; 0.999 is the loosest that there is.
"""
_STRICTER = tuple((10.0 ** -np.arange(3.5, 12.1, 0.5)).tolist())
"""For numbers far out, which ADWIN takes to be at most 1."""
_ADWIN, _HDDM_W = 0.002, 0.001
"""As shipped."""
_MOST_COLUMNS_N = 20


def by_statistic(make: Callable[[], Any], statistic: Callable[[Any], float], *, is_binary: bool = False) -> Scores:
    """A detector whose statistic can be read: the largest in a pane, over all series. Warmed up on the reference."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        rows = [one for one in protocol.series(reference, panes, kinds) if one.is_binary or not is_binary]
        if not rows or len(rows) > _MOST_COLUMNS_N:
            return None
        best = np.full(len(panes), protocol.NOTHING)
        for before, now, *_ in rows:
            one = make()
            for x in before.tolist():
                one.update(x)
            for at, pane in enumerate(now):
                for x in pane.tolist():
                    one.update(x)
                    best[at] = max(best[at], statistic(one))
        return best.tolist()

    return scores


def by_strictness(make: Callable[[float], Any], deltas: Sequence[float], *, is_binary: bool = False) -> Scores:
    """A detector that says yes or no, run at every strictness up to its first yes; a detection in the reference is forgotten."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        rows = [one for one in protocol.series(reference, panes, kinds) if one.is_binary or not is_binary]
        if not rows or len(rows) > _MOST_COLUMNS_N:
            return None
        best = np.full(len(panes), protocol.NOTHING)
        for before, now, *_ in rows:
            for delta in deltas:
                at = _first_yes(make(delta), before, now)
                if at is not None:
                    best[at] = max(best[at], -math.log10(delta))
        return best.tolist()

    return scores


def _first_yes(one: Any, before: np.ndarray, now: Sequence[np.ndarray]) -> int | None:
    for x in before.tolist():
        one.update(x)
    for at, pane in enumerate(now):
        for x in pane.tolist():
            one.update(x)
            if one.drift_detected:
                return at
    return None


def _page_hinkley(one: Any) -> float:
    return max(one._sum_increase - one._min_increase, one._max_decrease - one._sum_decrease)


def _ddm(one: Any) -> float:
    if one._p_min is None or not one._s_min:
        return protocol.NOTHING
    p = one._p.get()
    return float((p + math.sqrt(p * (1 - p) / one._p.n) - one._p_min) / one._s_min)


RULES = {
    "river ADWIN": protocol.Rule(by_strictness(drift.ADWIN, (*_DELTAS, _ADWIN, *_STRICTER)), -math.log10(_ADWIN)),
    "river PageHinkley": protocol.Rule(by_statistic(lambda: drift.PageHinkley(threshold=math.inf), _page_hinkley), 50.0),
    "river DDM": protocol.Rule(by_statistic(lambda: binary.DDM(drift_threshold=math.inf), _ddm, is_binary=True), 3.0),
    "river HDDM_W": protocol.Rule(by_strictness(binary.HDDMW, _DELTAS[::2], is_binary=True), -math.log10(_HDDM_W)),
}

if __name__ == "__main__":
    protocol.main(RULES, {"river": river.__version__}, watched.views)
