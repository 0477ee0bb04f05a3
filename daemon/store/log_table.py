"""Rows of the record log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from daemon.store.arrow import TooLarge, floats, strings, utf8
from daemon.store.decoded import answers_of, objects_of
from daemon.store.slices import slices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from msgspec import Raw

    from daemon.store.columns import Frame
    from daemon.store.spooled import Rows

LOG_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("at", pa.float64(), nullable=False),  # seconds since the epoch, UTC
        pa.field("version", pa.string(), nullable=False),
        ("inputs", pa.string()),  # JSON object
        ("output", pa.string()),  # JSON object
        ("segments", pa.string()),  # JSON object
        ("text", pa.string()),  # the model's text column, for training
        ("predicted", pa.string()),
        ("score", pa.float64()),  # of the predicted label, 0..1
        pa.field("pi", pa.float64(), nullable=False),  # probability with which the record was sampled
    ]
)
_LOG_SLICE_N = 8192  # rows of one Arrow array; halved where their texts are too large for it

_LOGGED: dict[str, Callable[[Any], pa.Array]] = {
    field.name: floats if field.type == pa.float64() else utf8 if field.name in {"inputs", "output", "segments"} else strings
    for field in LOG_SCHEMA
}


def log_table(rows: Rows, frame: Frame, pi: float) -> pa.Table:
    """Rows of the record log, in the shape of `LOG_SCHEMA`, in the order in which the records came."""
    n = len(rows.ids)
    found = [objects_of(lines) for whole in rows.lines for lines, _ in slices(whole)]
    columns: dict[str, Any] = {
        "id": rows.ids,
        "at": rows.ats,
        "version": [rows.version] * n,
        "inputs": [o.inputs for part in found for o in part],
        "output": [answer for part in found for answer in _answers([o.output for o in part], are_whole=frame.are_whole)],
        "segments": [o.segments for part in found for o in part],
        "text": [None] * n if frame.text is None else frame.text.tolist(),
        "predicted": frame.predicted.tolist(),
        "score": frame.score,
        "pi": np.full(n, pi),
    }
    parts = [part for i in range(0, n, _LOG_SLICE_N) for part in _log_slices(columns, i, min(i + _LOG_SLICE_N, n))]
    return pa.concat_tables(parts)


def _answers(outputs: Sequence[Raw], *, are_whole: bool) -> Sequence[Raw | bytes]:
    return outputs if are_whole else answers_of(outputs)


def _log_slices(columns: Mapping[str, Any], start: int, end: int) -> list[pa.Table]:
    try:
        return [pa.Table.from_arrays([_LOGGED[name](values[start:end]) for name, values in columns.items()], schema=LOG_SCHEMA)]
    except TooLarge:
        middle = (start + end) // 2
        if middle == start:
            raise
        return [*_log_slices(columns, start, middle), *_log_slices(columns, middle, end)]
