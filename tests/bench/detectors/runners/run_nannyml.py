"""NannyML: drift of columns, each and together, and realised accuracy; a pane is a chunk, score 1 its own threshold (3 sd of chunks)."""

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


def together(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """How far the error of reconstructing rows from principal components is from the mean of the reference's chunks, either way."""
    columns = protocol.named(kinds, "numeric", "category")
    if len(columns) < 2:
        return None
    calculator = nannyml.DataReconstructionDriftCalculator(column_names=columns, chunk_size=len(panes[0][columns[0]]))
    calculator.fit(_frame([reference], columns))
    result = calculator.calculate(_frame(panes, columns))
    return np.nan_to_num(np.abs(_of_threshold(result, "reconstruction_error")), nan=protocol.NOTHING).tolist()


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
    return np.nan_to_num(np.max([_of_threshold(result, *one) for one in wanted], axis=0), nan=protocol.NOTHING).tolist()


def _of_threshold(result: Any, *name: str) -> np.ndarray:
    """Above the mean of the reference's chunks, in units of what the upper threshold is above it."""
    before = result.filter(period="reference").to_df()
    now = result.filter(period="analysis").to_df()
    mean = float(before[(*name, "value")].astype(float).mean())
    upper = float(now[(*name, "upper_threshold")].astype(float).iloc[0])
    return (now[(*name, "value")].astype(float).to_numpy() - mean) / max(upper - mean, 1e-12)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    protocol.main(
        {
            "NannyML Jensen-Shannon": protocol.Rule(univariate("jensen_shannon", "jensen_shannon"), 1.0),
            "NannyML KS (categories: L-infinity)": protocol.Rule(univariate("kolmogorov_smirnov", "l_infinity"), 1.0),
            "NannyML reconstruction error (PCA)": protocol.Rule(together, 1.0),
            "NannyML realised accuracy": protocol.Rule(accuracy, 1.0),
        },
        {"nannyml": nannyml.__version__},
    )
