"""Rows of NannyML's bundled sets in their order, and which of them are before and after each one's own change.

Error rate, and distance of each column to the reference period (Kolmogorov-Smirnov; categories: the largest difference of shares), were
read in tenths of the reference period and twentieths of the analysis period:

- Car loans, cards and car prices, made by a program, change at once at the middle of the analysis period, columns and errors together, and
  are level before and after. Of car prices the error in money falls there, with the prices; that of their logarithms rises.
- Car loans with holes are car loans with entries missing from two columns: a tenth of them, from the middle on 22 in 100.
- The synthetic sample is car loans under other names: equal scores and labels, another threshold.
- Employment is a census, one year behind another. The file of 2017 puts those who live in group quarters (homes, dormitories, prisons)
  behind all others, that of 2018 before them: 64,493 rows of households, then 10,271 of group quarters. Nothing else moves as much. The
  reference period and 2016, where both are mixed, are left out.
- California housing comes place by place. It has no level part, hence no change: errors go from 21 to 61 % between tenths of the reference
  period. Here the reference period stands for before, the analysis period for after.

The Titanic is not here: it has no answers of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.errors import LABELS
from tests.bench.estimates.sets import SETS as FILES
from tests.bench.estimates.sets import Files, class_name, folder, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CARDS = ("highstreet_card", "prepaid_card", "upmarket_card")
_LOANS = ("car_value", "debt_to_income_ratio", "loan_length", "driver_tenure")
_OF_LOANS = ("salary_range", "size_of_downpayment", "repaid_loan_on_prev_car")
_PRICES = Files(
    reference="regression_synthetic_reference.csv",
    analysis="regression_synthetic_analysis.csv",
    targets="regression_synthetic_analysis_targets.csv",
    truth="y_true",
    scores=(),
)
_OF_PEOPLE = ("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P")


@dataclass(frozen=True, kw_only=True)
class Set:
    """Where a set is, its columns, and its rows: those of the reference period, then those of the analysis period."""

    files: Files
    rows: tuple[int, int, int]
    """The first before the change, the first after it, and where these end."""
    rates: tuple[float, float]
    """Errors before and after the change, a share of the answers; of numbers the mean absolute error of the logarithm."""
    numeric: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    classes: tuple[str, ...] = LABELS
    """In the order of the scores; () = answers are numbers, and read as their logarithms."""

    @property
    def before_n(self) -> int:
        """How many there are before the change."""
        return self.rows[1] - self.rows[0]

    @property
    def after_n(self) -> int:
        """How many there are after it."""
        return self.rows[2] - self.rows[1]


@dataclass(frozen=True, kw_only=True)
class Read:
    """Arrays over the rows before and after the change, in their order; shape (n,) where not said."""

    columns: dict[str, NDArray[Any]]
    """Numbers (NaN = missing), categories as codes (-1 = missing)."""
    words: dict[str, list[str]]
    """Category -> what its codes stand for."""
    answer: NDArray[Any]
    """Class numbers, or logarithms."""
    truth: NDArray[Any]
    scores: NDArray[np.float64]
    """Of each class, (n, classes)."""


SETS = {
    "car-loan": Set(files=FILES["synthetic_car_loan"], rows=(0, 75_000, 100_000), rates=(0.056, 0.084), numeric=_LOANS, category=_OF_LOANS),
    "car-loan-holes": Set(
        files=FILES["synthetic_car_loan_dq"],
        rows=(0, 75_000, 100_000),
        rates=(0.056, 0.084),
        numeric=("driver_tenure",),
        category=("salary_range",),
    ),
    "sample": Set(files=FILES["synthetic_sample"], rows=(0, 75_000, 100_000), rates=(0.052, 0.085)),
    "california": Set(files=FILES["california_housing"], rows=(0, 5_832, 14_064), rates=(0.330, 0.411)),
    "employment": Set(
        files=FILES["employment_MA"], rows=(137_911, 202_404, 212_675), rates=(0.165, 0.236), numeric=("AGEP",), category=_OF_PEOPLE
    ),
    "cards": Set(
        files=FILES["mc"],
        rows=(0, 90_000, 120_000),
        rates=(0.245, 0.435),
        classes=_CARDS,
        numeric=("app_behavioral_score", "requested_credit_limit", "credit_bureau_score", "stated_income"),
        category=("acq_channel", "app_channel", "is_customer"),
    ),
    "car-price": Set(
        files=_PRICES,
        rows=(0, 90_000, 120_000),
        rates=(0.219, 0.248),
        classes=(),
        numeric=("car_age", "km_driven", "price_new", "accident_count", "door_count"),
        category=("fuel", "transmission"),
    ),
}


@cache
def read(name: str) -> Read:
    """A set, with the targets beside their rows."""
    one, home = SETS[name], folder()
    reference, analysis, targets = (read_table(home / file) for file in (one.files.reference, one.files.analysis, one.files.targets))
    if analysis["id"].to_pylist() != targets["id"].to_pylist():
        raise ValueError(f"{name}: targets are not in the order of their rows")
    analysis = analysis.append_column(one.files.truth, targets[one.files.truth])

    def values(column: str) -> list[Any]:
        return [*reference[column].to_pylist(), *analysis[column].to_pylist()][one.rows[0] : one.rows[2]]

    coded = {column: _coded(values(column)) for column in one.category}
    numbers = {column: np.array(values(column), dtype=np.float64) for column in one.numeric}
    given = np.array([values(column) for column in one.files.scores], dtype=np.float64).T
    return Read(
        columns=numbers | {column: codes for column, (codes, _) in coded.items()},
        words={column: words for column, (_, words) in coded.items()},
        answer=_answers(values(one.files.answer), one.classes),
        truth=_answers(values(one.files.truth), one.classes),
        scores=np.hstack([1.0 - given, given]) if given.shape[-1] == 1 else given,
    )


def _coded(values: Sequence[Any]) -> tuple[NDArray[np.int64], list[str]]:
    words = sorted({str(x) for x in values} - {"None", ""})
    place = {word: at for at, word in enumerate(words)}
    return np.array([place.get(str(x), -1) for x in values]), words


def _answers(values: Sequence[Any], classes: Sequence[str]) -> NDArray[Any]:
    if not classes:
        return np.log(np.array(values, dtype=np.float64))
    place = {word: at for at, word in enumerate(("0", "1") if classes == LABELS else classes)}
    return np.array([place[class_name(x)] for x in values])
