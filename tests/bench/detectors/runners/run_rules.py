"""Rules without a package: TrustyAI's (last 100 rows, any column, every look) and two dummies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import protocol
import scipy
import watched
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

_ROWS_N = 100
_EVERY_N = 50


def trustyai(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """-log10 of the least p of Welch's test (its "meanshift") of the last 100 rows against the reference, over all columns of numbers."""
    columns = protocol.named(kinds, "numeric", "loss", "binary")
    if not columns:
        return None
    scores = np.full(len(panes), protocol.NOTHING)
    for name in columns:
        before, now = protocol.known(reference[name]), [protocol.known(pane[name]) for pane in panes]
        values, moments = np.concatenate(now), (before.mean(), before.var(ddof=1), len(before))
        for at, end in enumerate(np.cumsum([len(pane) for pane in now])):
            scores[at] = max(scores[at], _welch(*moments, values[max(0, end - _ROWS_N) : end]))
    return scores.tolist()


def _welch(mean: float, variance: float, n: int, values: np.ndarray) -> float:
    if len(values) < 2:
        return protocol.NOTHING
    a, b = variance / n, values.var(ddof=1) / len(values)
    if a + b == 0.0:
        return protocol.NOTHING
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (len(values) - 1))
    p = 2.0 * stats.t.sf(abs(mean - values.mean()) / np.sqrt(a + b), freedom)
    return float(-np.log10(max(p, 1e-300)))


def never(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float]:
    """Says nothing."""
    del reference, kinds
    return [protocol.NOTHING] * len(panes)


def every(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float]:
    """Alarms at every 50th look, whatever comes; its threshold cannot be matched."""
    del reference, kinds
    return [1.0 if at % _EVERY_N == _EVERY_N - 1 else protocol.NOTHING for at in range(len(panes))]


if __name__ == "__main__":
    protocol.main(
        {
            "TrustyAI's rule (Welch, last 100 rows, any column)": protocol.Rule(trustyai, -np.log10(0.05)),
            "dummy: never": protocol.Rule(never, None, is_whole=True),
            f"dummy: every {_EVERY_N} looks": protocol.Rule(every, 1.0, is_whole=True),
        },
        {"scipy": scipy.__version__},
        watched.views,
    )
