"""What a model answered on labelled rows, as a file: written by the training process, read by the gates. No torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retrain.dataset.rows import groups_of, write_rows
from retrain.types import Evaluation, Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        ("row", pa.string()),  # record id
        ("label", pa.string()),
        ("predicted", pa.string()),
        ("loss", pa.float64()),  # 0/1 error; null without a label
        ("cluster", pa.string()),
        ("groups", pa.string()),  # JSON object
        ("scores", pa.list_(pa.float32())),  # in the order of the model's labels
    ]
)


def write_evaluation(path: Path, rows: pa.Table, scores: NDArray[np.float32], labels: Sequence[str], protected: Sequence[str] = ()) -> None:
    """One row an example. `scores` (n, k) in the order of `labels`; a row without a cluster is a cluster of its own."""
    predicted = [labels[i] for i in scores.argmax(axis=1)] if len(scores) else []
    truth, ids = rows["label"].to_pylist(), rows["id"].to_pylist()
    groups = groups_of(rows, protected)
    columns = [
        ids,
        truth,
        predicted,
        [None if t is None else float(p != t) for p, t in zip(predicted, truth, strict=True)],
        [c if c is not None else i for c, i in zip(rows["cluster"].to_pylist(), ids, strict=True)],
        [json.dumps({name: values[i] for name, values in groups.items()}, sort_keys=True) for i in range(len(ids))],
        scores.tolist(),
    ]
    write_rows(path, pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA))


def read_evaluation(path: Path) -> Evaluation:
    """The file's labelled rows as the gates take them; `Permanent(BAD_DATA)` when it is no such file."""
    try:
        found = pq.read_table(path, schema=SCHEMA)
        found = found.filter(found["label"].is_valid())
        cells = [json.loads(cell) for cell in found["groups"].to_pylist()]
    except (OSError, ValueError, TypeError) as e:
        raise Permanent(Reason.BAD_DATA, f"{path}: {e}") from e
    names = sorted({name for cell in cells for name in cell})
    return Evaluation(
        row=_objects(found["row"].to_pylist()),
        label=_objects(found["label"].to_pylist()),
        predicted=_objects(found["predicted"].to_pylist()),
        loss=np.asarray(found["loss"].to_pylist(), dtype=np.float64),
        cluster=_objects(found["cluster"].to_pylist()),
        groups={name: _objects([cell.get(name) for cell in cells]) for name in names},
    )


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found
