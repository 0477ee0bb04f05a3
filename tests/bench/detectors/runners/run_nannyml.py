"""NannyML: univariate drift and realised accuracy, a pane is a chunk; score 1 is its own threshold (3 sd of the reference's chunks)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import protocol

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nannyml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]


def univariate(continuous: str, categorical: str) -> Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]:
    """The largest over all columns, each in units of its own threshold above the mean of the reference's chunks."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        columns = protocol.named(kinds, "numeric", "category")
        if not columns:
            return None
        calculator = nannyml.UnivariateDriftCalculator(
            column_names=columns,
            treat_as_categorical=protocol.named(kinds, "category"),
            continuous_methods=[continuous],
            categorical_methods=[categorical],
            chunk_size=len(panes[0][columns[0]]),
        )
        calculator.fit(_frame([reference], columns))
        result = calculator.calculate(_frame(panes, columns))
        methods = {name: categorical if kinds[name] == "category" else continuous for name in columns}
        return _beyond(result, list(methods.items()))

    return scores


def accuracy(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Realised accuracy of each pane's pairs, below the mean of the reference's chunks."""
    if "pairs.label" not in kinds:
        return None
    before, *now = protocol.errors([reference, *panes])
    n = min(len(errors) for errors in now if len(errors))
    calculator = nannyml.PerformanceCalculator(
        metrics=["accuracy"], y_true="label", y_pred="answer", y_pred_proba="score", problem_type="classification_binary", chunk_size=n
    )
    calculator.fit(_answers(before))
    frame = calculator.calculate(_answers(np.concatenate(now))).filter(period="analysis").to_df()
    mean = 1.0 - before.mean()
    below = mean - frame[("accuracy", "lower_threshold")].astype(float).to_numpy()
    found = (mean - frame[("accuracy", "value")].astype(float).to_numpy()) / below
    return [protocol.NOTHING] * (len(panes) - len(found)) + found.tolist()


def _answers(errors: np.ndarray) -> pd.DataFrame:
    """Labels that stand for right and wrong: accuracy reads nothing else."""
    label = np.arange(len(errors)) % 2
    answer = np.where(errors > 0, 1 - label, label)
    return pd.DataFrame({"label": label, "answer": answer, "score": answer.astype(float)})


def _frame(rows: Sequence[Columns], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: np.concatenate([row[name] for row in rows]) for name in columns})


def _beyond(result: Any, wanted: list[tuple[str, str]]) -> list[float]:
    before = result.filter(period="reference").to_df()
    now = result.filter(period="analysis").to_df()
    scores = []
    for name, method in wanted:
        mean = float(before[(name, method, "value")].astype(float).mean())
        upper = float(now[(name, method, "upper_threshold")].astype(float).iloc[0])
        scores.append((now[(name, method, "value")].astype(float).to_numpy() - mean) / max(upper - mean, 1e-12))
    return np.nan_to_num(np.max(scores, axis=0), nan=protocol.NOTHING).tolist()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    protocol.main(
        {
            "NannyML Jensen-Shannon": protocol.Rule(univariate("jensen_shannon", "jensen_shannon"), 1.0),
            "NannyML KS (categories: L-infinity)": protocol.Rule(univariate("kolmogorov_smirnov", "l_infinity"), 1.0),
            "NannyML realised accuracy": protocol.Rule(accuracy, 1.0),
        },
        {"nannyml": nannyml.__version__},
    )
