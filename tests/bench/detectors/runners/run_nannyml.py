"""NannyML: drift, missing values, realised and estimated performance; a pane is a chunk, score 1 its threshold (3 sd of chunks)."""

from __future__ import annotations

import operator
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import protocol
import watched

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nannyml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, np.ndarray]


_BINARY = {"problem_type": "classification_binary", "y_pred_proba": "score"}
_NUMBERS = {"problem_type": "regression"}


def univariate(continuous: str, categorical: str) -> Callable[[Columns, Sequence[Columns], Mapping[str, str]], list[float] | None]:
    """The largest over all columns, each in units of its own threshold above the mean of the reference's chunks."""

    def scores(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
        methods = {name: categorical if kind in {"category", "binary"} else continuous for name, kind in kinds.items()}
        columns = protocol.named(kinds, "numeric", "loss", "category", "binary")
        if not columns:
            return None
        calculator = nannyml.UnivariateDriftCalculator(
            column_names=columns,
            treat_as_categorical=protocol.named(kinds, "category", "binary"),
            continuous_methods=[continuous],
            categorical_methods=[categorical],
            chunk_size=len(panes[0][columns[0]]),
        )
        calculator.fit(_words([reference], columns, kinds))
        result = calculator.calculate(_words(panes, columns, kinds))
        return _most([_of_threshold(result, name, methods[name]) for name in columns])

    return scores


def together(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """How far the error of reconstructing rows from principal components is from the mean of the reference's chunks, either way."""
    columns = protocol.named(kinds, "numeric", "category")
    if len(columns) < 2:
        return None
    calculator = nannyml.DataReconstructionDriftCalculator(column_names=columns, chunk_size=len(panes[0][columns[0]]))
    calculator.fit(_frame([reference], columns))
    result = calculator.calculate(_frame(panes, columns))
    return _most([np.abs(_of_threshold(result, "reconstruction_error"))])


def missing(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Share of missing values, the largest over those columns that lack any in the reference."""
    columns = [name for name in protocol.named(kinds, "numeric", "category") if not protocol.is_known(reference[name]).all()]
    if not columns:
        return None
    calculator = nannyml.MissingValuesCalculator(column_names=columns, chunk_size=len(panes[0][columns[0]]))
    calculator.fit(_frame([reference], columns))
    result = calculator.calculate(_frame(panes, columns))
    return _most([_of_threshold(result, name) for name in columns])


def accuracy(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Realised accuracy, or that of the worst group, below the mean of the reference's chunks."""
    columns = [name for name in protocol.named(kinds, "binary") if name.startswith("errors")]
    if not columns:
        return None
    found = []
    for name in columns:
        before, now = (_answers(np.concatenate([row[name] for row in rows])) for rows in ([reference], panes))
        result = _realised("accuracy", before, now, len(panes[0][name]), _BINARY)
        found.append(_of_threshold(result, "accuracy", end="lower_threshold"))
    return _most(found)


def mean_loss(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Realised mean absolute error of answers whose error is the loss: its mean."""
    columns = protocol.named(kinds, "loss")
    if not columns:
        return None
    found = []
    for name in columns:
        before, now = (_losses(np.concatenate([row[name] for row in rows])) for rows in ([reference], panes))
        found.append(_of_threshold(_realised("mae", before, now, len(panes[0][name]), _NUMBERS), "mae"))
    return _most(found)


def area(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Realised area under the curve, below the mean of the reference's chunks."""
    if not protocol.classes(kinds):
        return None
    before, now = (_scored(rows, kinds) for rows in ([reference], panes))
    result = _realised("roc_auc", before, now, len(panes[0]["pairs.label"]), _problem(kinds))
    return _most([_of_threshold(result, "roc_auc", end="lower_threshold")])


def estimated(reference: Columns, panes: Sequence[Columns], kinds: Mapping[str, str]) -> list[float] | None:
    """Its estimate of accuracy by the scores of all records as they come (CBPE), below the mean of the reference's chunks."""
    if not protocol.classes(kinds):
        return None
    before, now = _scored([reference], kinds), _scored(panes, kinds, protocol.latest)
    columns = {"y_true": "label", "y_pred": "answer", "chunk_size": len(panes[0]["pairs.label"])}
    estimator = nannyml.CBPE(metrics=["accuracy"], **columns, **_problem(kinds))
    estimator.fit(before.dropna())
    return _most([_of_threshold(estimator.estimate(now.drop(columns="label")), "accuracy", end="lower_threshold")])


def _realised(metric: str, before: pd.DataFrame, now: pd.DataFrame, size: int, problem: Mapping[str, Any]) -> Any:
    calculator = nannyml.PerformanceCalculator(metrics=[metric], y_true="label", y_pred="answer", chunk_size=size, **problem)
    calculator.fit(before)
    return calculator.calculate(now)


def _answers(errors: np.ndarray) -> pd.DataFrame:
    """Labels that stand for right and wrong: accuracy reads nothing else. A pair without a label has none here."""
    label = np.arange(len(errors)) % 2
    answer = np.where(errors > 0, 1 - label, label)
    return pd.DataFrame({"label": np.where(np.isnan(errors), np.nan, label), "answer": answer, "score": answer.astype(float)})


def _losses(losses: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"label": np.where(np.isnan(losses), np.nan, 0.0), "answer": np.nan_to_num(losses)})


def _problem(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Of answers with scores."""
    names = protocol.classes(kinds)
    if len(names) == 2:
        return _BINARY
    return {"problem_type": "classification_multiclass", "y_pred_proba": {name: f"score {name}" for name in names}}


def _scored(rows: Sequence[Columns], kinds: Mapping[str, str], of: Callable[[Columns, str], np.ndarray] = operator.getitem) -> pd.DataFrame:
    """Of two classes 1 = the last one; more by their names."""
    names = protocol.classes(kinds)
    label = np.concatenate([row["pairs.label"] for row in rows])
    answer, *scores = (np.concatenate([of(row, x) for row in rows]) for x in ("pairs.predicted", *(protocol.SCORES + x for x in names)))
    if len(names) > 2:
        given = {f"score {name}": score for name, score in zip(names, scores, strict=True)}
        return pd.DataFrame({"label": label, "answer": answer, **given})
    known, last = protocol.is_known(label), names[-1]
    return pd.DataFrame({"label": np.where(known, label == last, np.nan), "answer": (answer == last).astype(int), "score": scores[-1]})


def _words(rows: Sequence[Columns], columns: list[str], kinds: Mapping[str, str]) -> pd.DataFrame:
    """0 and 1 as words."""
    frame = _frame(rows, columns)
    for name in columns:
        if kinds[name] == "binary":
            frame[name] = np.where(frame[name].isna(), None, np.where(frame[name] > 0.0, "yes", "no"))
    return frame


def _frame(rows: Sequence[Columns], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: np.concatenate([row[name] for row in rows]) for name in columns})


def _most(found: list[np.ndarray]) -> list[float]:
    """Of several columns, each (panes,)."""
    return np.max([np.nan_to_num(scores, nan=protocol.NOTHING) for scores in found], axis=0).tolist()


def _of_threshold(result: Any, *name: str, end: str = "upper_threshold") -> np.ndarray:
    """Beyond the mean of the reference's chunks, in units of how far the threshold is beyond it, (panes,); NaN = no data."""
    before = result.filter(period="reference").to_df()
    now = result.filter(period="analysis").to_df()
    mean = float(before[(*name, "value")].astype(float).mean())
    sign = 1.0 if end == "upper_threshold" else -1.0
    beyond = sign * (now[(*name, end)].astype(float).dropna().iloc[0] - mean)
    return sign * (now[(*name, "value")].astype(float).to_numpy() - mean) / max(beyond, 1e-12)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    protocol.main(
        {
            "NannyML Jensen-Shannon": protocol.Rule(univariate("jensen_shannon", "jensen_shannon"), 1.0),
            "NannyML KS (categories: L-infinity)": protocol.Rule(univariate("kolmogorov_smirnov", "l_infinity"), 1.0),
            "NannyML reconstruction error (PCA)": protocol.Rule(together, 1.0, is_whole=True),
            "NannyML missing values": protocol.Rule(missing, 1.0, is_whole=True),
            "NannyML realised accuracy": protocol.Rule(accuracy, 1.0),
            "NannyML realised mean loss": protocol.Rule(mean_loss, 1.0),
            "NannyML realised area under the curve": protocol.Rule(area, 1.0, is_whole=True),
            "NannyML estimated accuracy (CBPE)": protocol.Rule(estimated, 1.0, is_whole=True),
        },
        {"nannyml": nannyml.__version__},
        watched.views,
    )
