"""Rules without a package: TrustyAI's (last 100 rows, any column, every look) and two dummies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import protocol
import scipy
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

_ROWS_N = 100
_EVERY_N = 50


def trustyai(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """-log10 of the least p of Welch's test (its "meanshift") of the last 100 rows against the reference, over numeric columns."""
    columns = protocol.named(kinds, "numeric")
    if not columns:
        return None
    before = [protocol.known(reference[name]) for name in columns]
    moments = [(v.mean(), v.var(ddof=1), len(v)) for v in before]
    rows = {name: np.concatenate([pane[name] for pane in panes]) for name in columns}
    scores, end = [], 0
    for pane in panes:
        end += len(pane[columns[0]])
        latest = [protocol.known(rows[name][max(0, end - _ROWS_N) : end]) for name in columns]
        scores.append(max(_welch(*now, latest_) for now, latest_ in zip(moments, latest, strict=True)))
    return scores


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
            "dummy: never": protocol.Rule(never, None),
            f"dummy: every {_EVERY_N} looks": protocol.Rule(every, 1.0),
        },
        {"scipy": scipy.__version__},
    )
