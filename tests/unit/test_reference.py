"""Reference files as people have them: tables from pandas, classes as figures."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daemon.settings import ModelSettings
from daemon.store.reference import load_reference
from retrain.types import Permanent

MODEL = {"name": "m", "task": "tabular-classification", "labels": ["0", "1"], "columns": {"x": "numeric"}}


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_classes_of_a_table_are_those_of_records_whatever_their_type(tmp_path: Path, kind: pa.DataType) -> None:
    said, right = (pa.array(values).cast(kind) for values in ([1, 0, 1], [1, 1, 0]))
    file = tmp_path / "reference.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0, 3.0], "predicted": said, "label": right}), file)
    found = load_reference(ModelSettings.model_validate(MODEL), file, file)
    assert found.columns["output.label"].tolist() == ["1", "0", "1"]
    assert found.bound.predicted.tolist() == ["1", "0", "1"]
    assert found.bound.label.tolist() == ["1", "1", "0"]


def test_what_is_no_table_of_records_is_told_as_that(tmp_path: Path) -> None:
    model, file = ModelSettings.model_validate(MODEL), tmp_path / "reference.parquet"
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(Permanent, match="row 1"):
        load_reference(model, file, None)
    file = file.with_suffix(".jsonl")
    file.write_text('{"inputs": {"x": 1}}\n' + "[" * 100_000)
    with pytest.raises(Permanent, match="row 2"):
        load_reference(model, file, None)
