"""Records to columns: what detectors read, and the rows of the record log.

The values of the watched columns are decoded straight into lists, for many records at once; all other JSON goes into the log as it came.
"""

from __future__ import annotations

import math
import operator
import zlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from daemon.settings_encoder import LENGTH
from daemon.store.arrow import TooLarge, floats, strings, utf8
from daemon.store.decoded import Fields, objects_of, outputs_of
from detectors.sketches.records import NOT_LOOKED_AT
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.store.ports import SpooledRecord

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
MOST_CLASSES = 100
"""Of more classes the scores are not kept as columns (the log has them)."""
SLICE_N = 1000
"""Records decoded at once: more leave the processor's cache."""
_LOOKED_AT_SLICES = 2  # of a pane: contents that come twice are looked for in so many, which bounds the cost
_LOG_SLICE_N = 8192  # rows of one Arrow array; halved where their texts are too large for it


class Rows(msgspec.Struct, frozen=True):
    """One version's records of a pane before they are read; their JSON in lines, `SLICE_N` of them together."""

    version: str
    ids: list[str]
    ats: list[float]
    inputs: list[bytes]
    output: list[bytes]
    segments: list[bytes]


def rows_of(records: Sequence[SpooledRecord], ats: list[float]) -> Rows:
    """Of one record at least; all are of one version."""
    slices = [records[i : i + SLICE_N] for i in range(0, len(records), SLICE_N)]
    return Rows(
        version=records[0].version,
        ids=[r.id for r in records],
        ats=ats,
        inputs=[b"\n".join([r.inputs for r in part]) for part in slices],
        output=[b"\n".join([r.output for r in part]) for part in slices],
        segments=[b"\n".join([r.segments for r in part]) for part in slices],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Records as columns, each of shape (n,)."""

    watched: dict[str, NDArray[Any]]
    """Subject -> values."""
    text: NDArray[np.object_] | None
    """The column that a text model is trained on."""
    predicted: NDArray[np.object_]
    score: NDArray[np.float64]
    output: list[bytes]
    """What is read of the answer, as JSON."""
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
        self._fields = Fields(model.columns, [name for name, column in model.columns.items() if column.kind is ColumnKind.NUMERIC])
        self._dimensions = {name: column.dimensions for name, column in model.columns.items() if column.dimensions is not None}
        self._labels = model.labels if model.task.endswith("classification") else []

    def frame(self, rows: Rows) -> Frame:
        """Everything that is watched, and what the log keeps beside the JSON."""
        slices = enumerate(zip(rows.inputs, rows.output, rows.segments, strict=True))
        parts = [self._slice(*lines, is_looked_at=i < _LOOKED_AT_SLICES) for i, lines in slices]
        if len(parts) == 1:
            return parts[0]
        return Frame(
            watched=concatenated([part.watched for part in parts]),
            text=None if self._text is None else np.concatenate([part.text for part in parts if part.text is not None]),
            predicted=np.concatenate([part.predicted for part in parts]),
            score=np.concatenate([part.score for part in parts]),
            output=[output for part in parts for output in part.output],
            wrong=_joined([part.wrong for part in parts], [len(part.output) for part in parts]),
            contents=np.concatenate([part.contents for part in parts]),
        )

    def _slice(self, inputs: bytes, output: bytes, segments: bytes, *, is_looked_at: bool) -> Frame:
        rows, (outputs, kept) = self._fields.decode(inputs), outputs_of(output)
        label = objects([o.label for o in outputs])
        score = numbers([o.scores.get(o.label) if o.scores and o.label is not None else None for o in outputs])
        watched: dict[str, NDArray[Any]] = {"output.label": label, "output.score": score}
        whole = self._fields.numbers(rows)
        others: list[dict[str, Any]] = []
        wrong: dict[str, NDArray[np.int64]] = {}
        for subject, kind in self._subjects.items():
            where, name = subject.split(".", 1)
            if where == "output":
                if subject not in watched:
                    watched[subject] = _values(kind, [getattr(o, name) for o in outputs])
                continue
            if kind is ColumnKind.NUMERIC and name in whole:
                watched[subject] = whole[name]
                continue
            found = list(map(self._fields.value[name], rows))
            if kind is not ColumnKind.EMBEDDING and None in found:  # then it may be a segment
                others = others or objects_of(segments)
                found = [other.get(name) if own is None else own for own, other in zip(found, others, strict=True)]
            watched[subject] = vectors(found, self._dimensions[name]) if kind is ColumnKind.EMBEDDING else _values(kind, found)
            if (rows_of_wrong := wrong_rows(kind, found, watched[subject])).size:
                wrong[subject] = rows_of_wrong
        scores = score_matrix([o.scores for o in outputs], self._labels)
        text, watched = None if self._text is None else watched[self._text], {s: watched[s] for s in self._subjects}
        return Frame(
            watched=watched if scores is None else {**watched, "output.scores": scores},
            text=text,
            predicted=label,
            score=score,
            output=kept,
            wrong=wrong,
            contents=digests(inputs.split(b"\n")) if is_looked_at else np.full(len(kept), NOT_LOOKED_AT),
        )


def log_table(rows: Rows, frame: Frame, pi: float) -> pa.Table:
    """Rows of the record log, in the shape of `LOG_SCHEMA`, in the order in which the records came."""
    n = len(rows.ids)
    columns: dict[str, Any] = {
        "id": rows.ids,
        "at": rows.ats,
        "version": [rows.version] * n,
        "inputs": [line for lines in rows.inputs for line in lines.split(b"\n")],
        "output": frame.output,
        "segments": [line for lines in rows.segments for line in lines.split(b"\n")],
        "text": [None] * n if frame.text is None else frame.text.tolist(),
        "predicted": frame.predicted.tolist(),
        "score": frame.score,
        "pi": np.full(n, pi),
    }
    slices = [part for i in range(0, n, _LOG_SLICE_N) for part in _log_slices(columns, i, min(i + _LOG_SLICE_N, n))]
    return pa.concat_tables(slices)


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


def score_matrix(found: Sequence[Mapping[str, float] | None], labels: Sequence[str]) -> NDArray[np.float64] | None:
    """Scores in the order of the labels, (n, k), NaN = not given; a single one that is missing in a row is what the others leave of 1.

    None when no row has any, or the classes are not known (or too many).
    """
    k = len(labels)
    if not 2 <= k <= MOST_CLASSES or not any(found):  # noqa: PLR2004 (one class has nothing to be told from)
        return None
    try:
        pick: Callable[[Any], tuple[float, ...]] = operator.itemgetter(*labels)
        rows = chain.from_iterable(map(pick, found))
        return np.fromiter(rows, np.float64, len(found) * k).reshape(-1, k)
    except (KeyError, TypeError):  # a score or a whole row is missing
        scores = np.array([[row.get(label) if row else None for label in labels] for row in found], dtype=np.float64)
    missing = np.isnan(scores)
    one = missing.sum(axis=1) == 1
    rest = np.clip(1.0 - np.nansum(scores, axis=1), 0.0, 1.0)
    return np.where(missing & one[:, None], rest[:, None], scores)


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
    types = {*map(type, values)} - {str, type(None)}
    if not types or (kind is ColumnKind.CATEGORY and not types & {list, dict}):
        return np.empty(0, dtype=np.int64)
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
    return values if {*map(type, values)} <= {str, type(None)} else [_text(v) for v in values]


def _lookup(name: str, inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> object:
    found = inputs.get(name)
    return segments.get(name) if found is None else found
