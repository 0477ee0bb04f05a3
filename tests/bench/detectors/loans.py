"""Scenarios from NannyML's bundled car loans: its own drift in the columns, and errors whose labels come five panes late."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario
from tests.bench.detectors.errors import answered, pairs
from tests.bench.environments import python_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_CHANGE = 25_000
"""Row of the analysis part from which on the columns have moved."""
_LATE_N = 250
"""Records that a label comes after."""
_KINDS = {
    "car_value": "numeric",
    "debt_to_income_ratio": "numeric",
    "loan_length": "numeric",
    "driver_tenure": "numeric",
    "salary_range": "category",
    "size_of_downpayment": "category",
    "repaid_loan_on_prev_car": "category",
}


@cache
def _rows() -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Columns before and after the change, categories as str; "wrong" and "repaid" with them."""
    import pandas as pd

    home = next(Path(python_of("nannyml")).parents[1].glob("lib/*/site-packages/nannyml/datasets/data"))
    reference = pd.read_csv(home / "synthetic_car_loan_reference.csv")
    analysis = pd.read_csv(home / "synthetic_car_loan_analysis.csv")
    target = pd.read_csv(home / "synthetic_car_loan_analysis_target.csv")
    analysis = analysis.merge(target, on="id")
    both = [pd.concat([reference, analysis[:_CHANGE]]), analysis[_CHANGE:]]
    return tuple(_columns(frame) for frame in both)  # type: ignore[return-value]  # two of them


def _columns(frame: Any) -> dict[str, NDArray[Any]]:
    columns = {name: frame[name].to_numpy() if kind == "numeric" else frame[name].astype(str).to_numpy() for name, kind in _KINDS.items()}
    repaid = frame["repaid"].to_numpy().astype(np.int64)
    return columns | {"repaid": repaid, "wrong": frame["y_pred"].to_numpy() != repaid}


def _vocabularies() -> Mapping[str, Sequence[str]]:
    before, after = _rows()
    names = [name for name, kind in _KINDS.items() if kind == "category"]
    return {name: sorted({*before[name].tolist(), *after[name].tolist()}) for name in names}


def _taken(rng: np.random.Generator, much: Floats, names: Sequence[str]) -> Rows:
    before, after = _rows()
    is_new = rng.random(len(much)) < much
    first, second = (rng.integers(0, len(rows["wrong"]), len(much)) for rows in (before, after))
    return {name: np.where(is_new, after[name][second], before[name][first]) for name in names}


def _inputs(rng: np.random.Generator, much: Floats) -> Rows:
    rows = _taken(rng, much, list(_KINDS))
    return {name: np.searchsorted(words, rows[name]) for name, words in _vocabularies().items()} | {
        name: rows[name] for name, kind in _KINDS.items() if kind == "numeric"
    }


def _late(rng: np.random.Generator, much: Floats) -> Rows:
    """Pairs in the order in which their labels come: a label is five panes younger than its record."""
    delayed = np.concatenate([np.zeros(_LATE_N), much[:-_LATE_N]])
    rows = _taken(rng, delayed, ["wrong", "repaid"])
    return answered(rows["wrong"], rows["repaid"])


_SIZES: dict[str, Any] = {"null": (8, 120), "drift": (12, 6, 20)}
_OURS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned conformal_numeric + conformal_category": {"conformal_numeric": {}, "conformal_category": {}}
}

SCENARIOS = (
    Scenario(
        id="nannyml-car-loan",
        says="NannyML's car loans, 7 columns: a third of the records come from after its own change",
        kinds=_KINDS,
        vocabularies=_vocabularies,
        draw=lambda rng, much: _inputs(rng, much / 3.0),
        ours=_OURS,
        **_SIZES,
    ),
    pairs(
        "nannyml-car-loan-late",
        "NannyML's car loans after its own change: errors from 5.6 to 8.4 %, labels five panes late (in the delay)",
        _late,
    ),
)
