"""Records to columns: what detectors read, and the rows of the record log.

The values of the watched columns are decoded straight into lists, for many records at once; all other JSON goes into the log as it came.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from daemon.settings_encoder import LENGTH
from daemon.store.answers import Answers
from daemon.store.arrow import TooLarge, floats, strings, utf8
from daemon.store.decoded import Fields, answers_of, objects_of
from daemon.store.slices import slices
from detectors.sketches.records import NOT_LOOKED_AT
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.store.spooled import Rows

    Columns = dict[str, NDArray[Any]]

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
_LOOKED_AT_N = 2000  # records of a pane: contents that come twice are looked for in so many, which bounds the cost
_TEXT_OR_NONE = {str, type(None)}
_NO_ROWS = np.empty(0, dtype=np.int64)
_LOG_SLICE_N = 8192  # rows of one Arrow array; halved where their texts are too large for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Records as columns, each of shape (n,)."""

    watched: dict[str, NDArray[Any]]
    """Subject -> values."""
    text: NDArray[np.object_] | None
    """The column that a text model is trained on."""
    predicted: NDArray[np.object_]
    score: NDArray[np.float64]
    wrong: dict[str, NDArray[np.int64]]
    """Subject -> rows whose value is there and does not read as the column's kind; only columns that have some."""
    contents: NDArray[np.int64]
    """Checksums of the inputs as they were sent, of the first 2,000 records; equal where these are. Others: NOT_LOOKED_AT."""


_LOGGED: dict[str, Callable[[Any], pa.Array]] = {
    field.name: floats if field.type == pa.float64() else utf8 if field.name in {"inputs", "output", "segments"} else strings
    for field in LOG_SCHEMA
}


class Reader:
    """Reads the records of one model; made once."""

    def __init__(self, model: ModelSettings) -> None:
        self._subjects = model.subjects()
        texts = (s for s, kind in self._subjects.items() if kind is ColumnKind.TEXT and not s.startswith("output."))
        self._text = next(texts, None)  # the first one is what a text model is trained on
        self._answers = Answers(model.labels if model.task.endswith("classification") else [])
        numeric = [name for name, column in model.columns.items() if column.kind is ColumnKind.NUMERIC]
        self._fields = Fields(model.columns, numeric, self._answers.types)
        self._dimensions = {name: column.dimensions for name, column in model.columns.items() if column.dimensions is not None}

    def frame(self, records: Sequence[bytes | memoryview]) -> Frame:
        """All that is watched, and what the log keeps beside the JSON; `records`: `Rows.lines`, of one record at least."""
        parts: list[Frame] = []
        n = 0
        for lines, size in (piece for whole in records for piece in slices(whole)):
            parts.append(self._slice(lines, looked_at_n=max(0, _LOOKED_AT_N - n)))
            n += size
        if len(parts) == 1:
            return parts[0]
        return Frame(
            watched=concatenated([part.watched for part in parts]),
            text=None if self._text is None else np.concatenate([part.text for part in parts if part.text is not None]),
            predicted=np.concatenate([part.predicted for part in parts]),
            score=np.concatenate([part.score for part in parts]),
            wrong=_joined([part.wrong for part in parts], [len(part.predicted) for part in parts]),
            contents=np.concatenate([part.contents for part in parts]),
        )

    def _slice(self, lines: memoryview, *, looked_at_n: int) -> Frame:
        rows = self._fields.decode(lines)
        labels = [r.output.label for r in rows]
        label, (score, scores) = objects(labels), self._answers.scores(labels, [r.output.scores for r in rows])
        watched, wrong = self._watched(rows, {"output.label": label, "output.score": score})
        contents = np.full(len(rows), NOT_LOOKED_AT)
        if looked_at_n:
            contents[:looked_at_n] = digests([bytes(o.inputs) for o in objects_of(lines)[:looked_at_n]])
        return Frame(
            watched=watched if scores is None else {**watched, "output.scores": scores},
            text=None if self._text is None else watched[self._text],
            predicted=label,
            score=score,
            wrong=wrong,
            contents=contents,
        )

    def _watched(self, rows: Sequence[Any], answers: Columns) -> tuple[Columns, dict[str, NDArray[np.int64]]]:
        """Values and rows of wrong ones, by subject; `answers`: what is read of the outputs already."""
        inputs, segments = [r.inputs for r in rows], [r.segments for r in rows]
        whole = self._fields.numbers(inputs)
        watched: Columns = {}
        wrong: dict[str, NDArray[np.int64]] = {}
        for subject, kind in self._subjects.items():
            where, name = subject.split(".", 1)
            if where == "output":
                watched[subject] = answers[subject] if subject in answers else _values(kind, [getattr(r.output, name) for r in rows])
            elif kind is ColumnKind.NUMERIC and name in whole:
                watched[subject] = whole[name]
            else:
                watched[subject], bad = self._read(name, kind, inputs, segments)
                if bad.size:
                    wrong[subject] = bad
        return watched, wrong

    def _read(self, name: str, kind: ColumnKind, inputs: Sequence[Any], segments: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """One column, and the rows of its wrong values."""
        pick = self._fields.value[name]
        found = list(map(pick, inputs))
        if kind is ColumnKind.EMBEDDING:
            read = vectors(found, self._dimensions[name])
            return read, wrong_rows(kind, found, read)
        if None in found:  # then it may be a segment
            others, own = list(map(pick, segments)), found
            found = others if own.count(None) == len(own) else [b if a is None else a for a, b in zip(own, others, strict=True)]
        if kind is not ColumnKind.NUMERIC and {*map(type, found)} <= _TEXT_OR_NONE:
            return objects(found), _NO_ROWS
        values = _values(kind, found)
        return values, wrong_rows(kind, found, values)


def log_table(rows: Rows, frame: Frame, pi: float) -> pa.Table:
    """Rows of the record log, in the shape of `LOG_SCHEMA`, in the order in which the records came."""
    n = len(rows.ids)
    found = [objects_of(lines) for whole in rows.lines for lines, _ in slices(whole)]
    columns: dict[str, Any] = {
        "id": rows.ids,
        "at": rows.ats,
        "version": [rows.version] * n,
        "inputs": [o.inputs for part in found for o in part],
        "output": [answer for part in found for answer in answers_of([o.output for o in part])],
        "segments": [o.segments for part in found for o in part],
        "text": [None] * n if frame.text is None else frame.text.tolist(),
        "predicted": frame.predicted.tolist(),
        "score": frame.score,
        "pi": np.full(n, pi),
    }
    parts = [part for i in range(0, n, _LOG_SLICE_N) for part in _log_slices(columns, i, min(i + _LOG_SLICE_N, n))]
    return pa.concat_tables(parts)


def _log_slices(columns: Mapping[str, Any], start: int, end: int) -> list[pa.Table]:
    try:
        return [pa.Table.from_arrays([_LOGGED[name](values[start:end]) for name, values in columns.items()], schema=LOG_SCHEMA)]
    except TooLarge:
        middle = (start + end) // 2
        if middle == start:
            raise
        return [*_log_slices(columns, start, middle), *_log_slices(columns, middle, end)]


def concatenated(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Columns one after the other. A part without "output.scores" has none: NaN."""
    found = dict(parts[0]) if parts else {}
    if len(parts) > 1:
        for subject in dict.fromkeys(subject for part in parts for subject in part):
            found[subject] = np.concatenate(_filled([part.get(subject) for part in parts], [_rows_n(part) for part in parts]))
    return found


def _rows_n(part: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(part.values()), ()))


def _filled(found: Sequence[NDArray[Any] | None], sizes: Sequence[int]) -> list[NDArray[Any]]:
    k = next(values.shape[1:] for values in found if values is not None)
    return [np.full((n, *k), np.nan) if values is None else values for values, n in zip(found, sizes, strict=True)]


def groups_of(protected: Iterable[str], inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> dict[str, str | None]:
    """Group of one record in each protected column; None = unknown."""
    return {name: _text(_lookup(name, inputs, segments)) for name in protected}


def length(value: object) -> int | None:
    """Of a text, in characters; None where there is none."""
    return len(value) if isinstance(value, str) else None


def inputs_of(kinds: Mapping[str, ColumnKind], inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> dict[str, Any]:
    """What one record was asked, by subject as it is carried, as it was sent; None = not there."""
    found: dict[str, Any] = {}
    for subject, kind in kinds.items():
        value = _lookup(subject.split(".", 1)[1], inputs, segments)
        if kind is ColumnKind.TEXT:
            found[f"{subject}{LENGTH}"] = length(value)
        else:
            found[subject] = value
    return found


def asked_columns(kinds: Mapping[str, ColumnKind], rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Of `inputs_of` of n records: subject -> values, shape (n,), as they are read of all records."""
    found: dict[str, NDArray[Any]] = {}
    for subject, kind in kinds.items():
        name, read = (f"{subject}{LENGTH}", ColumnKind.NUMERIC) if kind is ColumnKind.TEXT else (subject, kind)
        found[name] = _values(read, [row.get(name) for row in rows])
    return found


def numbers(values: Sequence[object]) -> NDArray[np.float64]:
    """Floats, NaN where there is no finite number; shape (n,)."""
    try:
        found = np.fromiter(values, np.float64, len(values))  # (n,); None becomes NaN
    except (TypeError, ValueError, OverflowError):
        found = np.array([_number(v) for v in values], dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def vectors(values: Sequence[object], d: int) -> NDArray[np.float32]:
    """Vectors of d finite numbers, shape (n, d); a row of NaN where there is none."""
    found = np.full((len(values), d), np.nan, dtype=np.float32)
    for i, value in enumerate(values):
        if isinstance(value, list) and len(value) == d:
            with np.errstate(over="ignore"):  # too large for float32: infinite, so no number
                found[i] = numbers(value)
    found[~np.isfinite(found).all(axis=1)] = np.nan
    return found


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    """An object array of these values, shape (n,)."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _values(kind: ColumnKind, values: Sequence[Any]) -> NDArray[Any]:
    return numbers(values) if kind is ColumnKind.NUMERIC else objects(_texts(values))


def wrong_rows(kind: ColumnKind, values: Sequence[Any], read: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of values that are there and were not read as the kind: no number; no vector of its size; not text but something else; a list.

    `read`: what became of the values; a numeric column without NaN has none, and most columns cost one look at their types.
    """
    if kind in {ColumnKind.NUMERIC, ColumnKind.EMBEDDING}:
        is_missing = np.isnan(read if read.ndim == 1 else read[:, 0])
        found = [i for i in np.flatnonzero(is_missing).tolist() if values[i] is not None]
        return np.asarray(found, dtype=np.int64)
    types = {*map(type, values)} - _TEXT_OR_NONE
    if not types or (kind is ColumnKind.CATEGORY and not types & {list, dict}):
        return _NO_ROWS
    right = (str, type(None)) if kind is ColumnKind.TEXT else (str, int, float, type(None))
    return np.asarray([i for i, v in enumerate(values) if not isinstance(v, right)], dtype=np.int64)


def digests(contents: Sequence[bytes]) -> NDArray[np.int64]:
    """Checksum of each, shape (n,): two that differ are taken for equal about once in 4 billion pairs."""
    return np.fromiter(map(zlib.crc32, contents), dtype=np.int64, count=len(contents))


def _joined(parts: Sequence[Mapping[str, NDArray[np.int64]]], sizes: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Row numbers of parts as row numbers of the whole."""
    found: dict[str, NDArray[np.int64]] = {}
    start = 0
    for part, size in zip(parts, sizes, strict=True):
        for subject, rows in part.items():
            found[subject] = np.concatenate([found.get(subject, np.empty(0, dtype=np.int64)), rows + start])
        start += size
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
    return values if {*map(type, values)} <= _TEXT_OR_NONE else [_text(v) for v in values]


def _lookup(name: str, inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> object:
    found = inputs.get(name)
    return segments.get(name) if found is None else found
