"""Records to columns: what detectors read, and the rows of the record log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from daemon.store.arrow import TooLarge, floats, strings, utf8
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.store.ports import Record

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
_SLICE_N = 8192  # rows at once; halved where their texts are too large for one Arrow array
_json = msgspec.json.Encoder()


def columns_of(model: ModelSettings, records: Sequence[Record]) -> dict[str, NDArray[Any]]:
    """Subject -> values, shape (n,), of every column that is watched."""
    found: dict[str, NDArray[Any]] = {}
    for subject, kind in model.subjects().items():
        where, name = subject.split(".", 1)
        values = _outputs(name, records) if where == "output" else _named(name, records)
        found[subject] = numbers(values) if kind is ColumnKind.NUMERIC else objects(_texts(values))
    return found


def log_table(model: ModelSettings, records: Sequence[Record], ats: Sequence[float], pi: float) -> pa.Table:
    """Rows of the record log, in the shape of `LOG_SCHEMA`, in the order in which the records came."""
    starts = range(0, len(records), _SLICE_N)
    slices = [part for i in starts for part in _log_slices(model, records[i : i + _SLICE_N], ats[i : i + _SLICE_N], pi)]
    return pa.concat_tables(slices) if slices else LOG_SCHEMA.empty_table()


def _log_slices(model: ModelSettings, records: Sequence[Record], ats: Sequence[float], pi: float) -> list[pa.Table]:
    try:
        return [_log_slice(model, records, ats, pi)]
    except TooLarge:
        half = len(records) // 2
        if not half:
            raise
        return [*_log_slices(model, records[:half], ats[:half], pi), *_log_slices(model, records[half:], ats[half:], pi)]


def _log_slice(model: ModelSettings, records: Sequence[Record], ats: Sequence[float], pi: float) -> pa.Table:
    outputs = [r.output for r in records]
    name, encode = text_column(model), _json.encode
    texts = _texts(_named(name, records)) if name else [None] * len(records)
    return pa.Table.from_arrays(
        [
            strings([r.id for r in records]),
            floats(ats),
            strings([r.version for r in records]),
            utf8([encode(r.inputs) for r in records]),
            utf8([encode(o) for o in outputs]),
            utf8([encode(r.segments) for r in records]),
            strings(texts),
            strings([o.label for o in outputs]),
            floats(numbers(_outputs("score", records))),
            floats(np.full(len(records), pi)),
        ],
        schema=LOG_SCHEMA,
    )


def text_column(model: ModelSettings) -> str | None:
    """The column that a text model is trained on: the first one of kind text."""
    return next((name for name, column in model.columns.items() if column.kind is ColumnKind.TEXT), None)


def groups_of(protected: Iterable[str], inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> dict[str, str | None]:
    """Group of one record in each protected column; None = unknown."""
    return {name: _text(_lookup(name, inputs, segments)) for name in protected}


def numbers(values: Sequence[object]) -> NDArray[np.float64]:
    """Floats, NaN where there is no finite number; shape (n,)."""
    try:
        found = np.array(values, dtype=np.float64)  # (n,); None becomes NaN
    except (TypeError, ValueError, OverflowError):
        found = np.array([_number(v) for v in values], dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    """An object array of these values, shape (n,)."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _number(value: object) -> float:
    if not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _texts(values: Sequence[Any]) -> Sequence[str | None]:
    return values if {*map(type, values)} <= {str, type(None)} else [_text(v) for v in values]


def _lookup(name: str, inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> object:
    found = inputs.get(name)
    return segments.get(name) if found is None else found


def _named(name: str, records: Sequence[Record]) -> list[object]:
    found: list[object] = [r.inputs.get(name) for r in records]
    if None in found:  # a call a value costs half of the intake: only for those that look further
        return [_lookup(name, r.inputs, r.segments) for r in records]
    return found


def _outputs(name: str, records: Sequence[Record]) -> list[object]:
    if name == "score":
        return [o.scores.get(o.label) if o.scores and o.label is not None else None for o in (r.output for r in records)]
    return [getattr(r.output, name) for r in records]
