"""NannyML's bundled sets with late targets, as plain arrays."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from tests.bench.environments import python_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CHUNKS_N = 10
_CARDS = tuple(f"y_pred_proba_{x}" for x in ("highstreet_card", "prepaid_card", "upmarket_card"))


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a set is, and what its columns are called."""

    reference: str
    analysis: str
    targets: str
    truth: str
    answer: str = "y_pred"
    scores: tuple[str, ...] = ("y_pred_proba",)


SETS = {
    "synthetic_sample": Files(
        reference="synthetic_sample_reference.csv",
        analysis="synthetic_sample_analysis.csv",
        targets="synthetic_sample_analysis_gt.csv",
        truth="work_home_actual",
    ),
    "synthetic_car_loan": Files(
        reference="synthetic_car_loan_reference.csv",
        analysis="synthetic_car_loan_analysis.csv",
        targets="synthetic_car_loan_analysis_target.csv",
        truth="repaid",
    ),
    "synthetic_car_loan_dq": Files(
        reference="synthetic_car_loan_dq_reference.csv",
        analysis="synthetic_car_loan_dq_analysis.csv",
        targets="synthetic_car_loan_analysis_target.csv",
        truth="repaid",
    ),
    "california_housing": Files(
        reference="california_housing_reference.csv",
        analysis="california_housing_analysis.csv",
        targets="california_housing_analysis_gt.csv",
        truth="clf_target",
    ),
    "employment_MA": Files(
        reference="employment_MA_reference.pq",
        analysis="employment_MA_analysis.pq",
        targets="employment_MA_analysis_target.pq",
        truth="employed",
        answer="prediction",
        scores=("predicted_probability",),
    ),
    "mc": Files(reference="mc_reference.csv", analysis="mc_analysis.csv", targets="mc_analysis_gt.csv", truth="y_true", scores=_CARDS),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows: features (n, d) with categories as their number, scores (n, k), answer and truth (n,) as class numbers."""

    features: Floats
    scores: Floats
    answer: NDArray[np.int64]
    truth: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Part:
        """Some rows."""
        return Part(features=self.features[rows], scores=self.scores[rows], answer=self.answer[rows], truth=self.truth[rows])


def folder() -> Path:
    """Where the sets are: inside the rival's own environment."""
    ask = "import importlib.util as u; print(u.find_spec('nannyml').submodule_search_locations[0])"
    found = subprocess.run([python_of("nannyml"), "-c", ask], check=True, capture_output=True, text=True, timeout=300)
    return Path(found.stdout.strip()) / "datasets" / "data"


def load(name: str, home: Path) -> tuple[Part, list[Part]]:
    """(reference, ten equal chunks of the analysis period in its order; up to nine rows at its end are left out)."""
    files = SETS[name]
    reference, analysis, targets = (read_table(home / f) for f in (files.reference, files.analysis, files.targets))
    if analysis["id"].to_pylist() != targets["id"].to_pylist():
        raise ValueError(f"{name}: targets are not in the order of their rows")
    analysis = analysis.append_column(files.truth, targets[files.truth])
    used = {files.truth, files.answer, *files.scores, "id", "timestamp", "period", "year"}
    names = [x for x in reference.column_names if x not in used]
    before = _part(reference.filter(pc.is_valid(reference[files.truth])), files, names, reference)
    after = _part(analysis, files, names, reference)
    size = len(after.truth) // CHUNKS_N
    return before, [after.take(np.arange(i * size, (i + 1) * size)) for i in range(CHUNKS_N)]


def read_table(path: Path) -> pa.Table:
    """Parquet or CSV, by the name's end."""
    return pq.read_table(path) if path.suffix == ".pq" else csv.read_csv(path)


def _part(table: pa.Table, files: Files, names: list[str], reference: pa.Table) -> Part:
    given = np.column_stack([table[x].to_numpy().astype(np.float64) for x in files.scores])
    scores = given if given.shape[1] > 1 else np.column_stack([1.0 - given, given])
    classes = [x.removeprefix("y_pred_proba_") for x in files.scores] if len(files.scores) > 1 else ["0", "1"]
    answer, truth = (np.array([classes.index(class_name(v)) for v in table[x].to_pylist()]) for x in (files.answer, files.truth))
    features = np.column_stack([_numbers(table[x], reference[x]) for x in names])
    return Part(features=features, scores=scores, answer=answer, truth=truth)


def class_name(value: Any) -> str:
    """A class as the scores' columns call it."""
    return value if isinstance(value, str) else str(int(value))


def _numbers(column: pa.ChunkedArray, reference: pa.ChunkedArray) -> Floats:
    if pa.types.is_floating(reference.type) or pa.types.is_integer(reference.type):
        return np.asarray(column.to_numpy(), dtype=np.float64)
    known = {value: i for i, value in enumerate(sorted({str(x) for x in reference.to_pylist()}))}
    return np.array([known.get(str(x), -1) for x in column.to_pylist()], dtype=np.float64)
