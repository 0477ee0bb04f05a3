"""Records to columns, as detectors read them: watched values are decoded straight into lists, for many records at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.store.answers import Answers
from daemon.store.decoded import Fields, objects_of
from daemon.store.slices import slices
from daemon.store.values import NO_ROWS, TEXT_OR_NONE, digests, objects, values_of, vectors, wrong_rows
from detectors.sketches.records import NOT_LOOKED_AT
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings

    Columns = dict[str, NDArray[Any]]

_LOOKED_AT_N = 2000  # records of a pane: contents that come twice are looked for in so many, which bounds the cost


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
    are_whole: bool
    """No output has a field that is not read."""


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
            are_whole=all(part.are_whole for part in parts),
        )

    def _slice(self, lines: memoryview, *, looked_at_n: int) -> Frame:
        rows, are_whole = self._fields.decode(lines)
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
            are_whole=are_whole,
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
                watched[subject] = answers[subject] if subject in answers else values_of(kind, [getattr(r.output, name) for r in rows])
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
        if kind is not ColumnKind.NUMERIC and {*map(type, found)} <= TEXT_OR_NONE:
            return objects(found), NO_ROWS
        values = values_of(kind, found)
        return values, wrong_rows(kind, found, values)


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


def _joined(parts: Sequence[Mapping[str, NDArray[np.int64]]], sizes: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Row numbers of parts as row numbers of the whole."""
    found: dict[str, NDArray[np.int64]] = {}
    start = 0
    for part, size in zip(parts, sizes, strict=True):
        for subject, rows in part.items():
            found[subject] = np.concatenate([found.get(subject, np.empty(0, dtype=np.int64)), rows + start])
        start += size
    return found
