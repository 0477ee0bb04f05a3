"""Evidently's default column test of each pane, and of the last five, on any column, losses and errors; its text and embedding drift."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import protocol
import watched

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import evidently
    import evidently.legacy.calculations.stattests
    from evidently.legacy.calculations.stattests.registry import get_stattest
    from evidently.legacy.core import ColumnType
    from evidently.legacy.metrics.data_drift.embedding_drift_methods import mmd, model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]

_KINDS = {
    "numeric": ColumnType.Numerical,
    "loss": ColumnType.Numerical,
    "category": ColumnType.Categorical,
    "binary": ColumnType.Categorical,
}
_LATEST_N = 5
_DISTANCES = {"wasserstein", "jensenshannon", "psi", "kl_div", "hellinger"}


def over_last(panes_n: int) -> Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]:
    """The rule over a sliding window of so many panes."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        kinds = {name: kind for name, kind in kinds.items() if kind in _KINDS}
        if not kinds:
            return None
        found = []
        for end in range(1, len(panes) + 1):
            latest = panes[max(0, end - panes_n) : end]
            found.append(
                max(_score(reference[name], np.concatenate([pane[name] for pane in latest]), _KINDS[kind]) for name, kind in kinds.items())
            )
        return found

    return scores


def texts(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Area under the curve of its domain classifier over the last five panes, less its default limit; without its 1,000 bootstraps."""
    columns = protocol.named(kinds, "text")
    if not columns:
        return None
    found = []
    for end in range(1, len(panes) + 1):
        latest = panes[max(0, end - _LATEST_N) : end]
        scores = []
        for name in columns:
            first, second = pd.Series(reference[name]), pd.Series(np.concatenate([pane[name] for pane in latest]))
            test = get_stattest(first, second, ColumnType.Text, "abs_text_content_drift")
            scores.append(test(first, second, ColumnType.Text, test.default_threshold).drift_score - test.default_threshold)
        found.append(float(max(scores)))
    return found


def vectors(method: Any) -> Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]:
    """Its drift of embeddings over the last five panes, less its default limit; without its 100 bootstraps."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        columns = protocol.named(kinds, "embedding")
        if not columns:
            return None
        found = np.full(len(panes), protocol.NOTHING)
        for at in range(len(panes)):
            for name in columns:
                latest = np.concatenate([pane[name] for pane in panes[max(0, at + 1 - _LATEST_N) : at + 1]])
                score, *_ = method(current_emb=pd.DataFrame(latest), reference_emb=pd.DataFrame(reference[name]))
                found[at] = max(found[at], float(score) - method.threshold)
        return found.tolist()

    return scores


def _score(before: np.ndarray, now: np.ndarray, kind: ColumnType) -> float:
    """How far beyond its default limit: (0.05 - p) on the scale of -log10 p, distances as they are; 0 is the limit."""
    first, second = (pd.Series(protocol.known(values)) for values in (before, now))
    if kind is ColumnType.Categorical:
        first, second = first.astype(str).astype(object), second.astype(str).astype(object)
    if len(second) == 0:
        return protocol.NOTHING
    test = get_stattest(first, second, kind, None)
    result = test(first, second, kind, test.default_threshold)
    if test.name in _DISTANCES:
        return float(result.drift_score / test.default_threshold - 1.0)
    return float(np.log10(test.default_threshold) - np.log10(max(result.drift_score, 1e-300)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    protocol.main(
        {
            "Evidently, default tests, each pane": protocol.Rule(over_last(1), 0.0),
            "Evidently, default tests, last 5 panes": protocol.Rule(over_last(5), 0.0),
            f"Evidently, text content drift, last {_LATEST_N} panes": protocol.Rule(texts, 0.0),
            f"Evidently, embedding drift by a model, last {_LATEST_N} panes": protocol.Rule(vectors(model()), 0.0),
            f"Evidently, embedding drift by MMD, last {_LATEST_N} panes": protocol.Rule(vectors(mmd()), 0.0),
        },
        {"evidently": evidently.__version__},
        watched.views,
    )
