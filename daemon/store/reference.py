"""What production is compared with, read from files: the user's own, or the folder that an epoch's new version brought along.

Three shapes are understood, told apart by their columns: records as posted to /v1/records (`inputs`, `output`, `segments`; nested or JSON
text), the log's own rows (`retrain.dataset.rows.SCHEMA`), and flat tables whose columns are named as in the settings plus `predicted`,
`score` and `label`. What is right stands in `label` (a class, a number, or the wanted text, by the task), a judgement in `judgement`; where
these are not there, in the name that a posted label has for it: `value` of a number beside `inputs`, `score` of a judged text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daemon.store.answers import Output, score_matrix
from daemon.store.asked import inputs_of, sent_as
from daemon.store.pairing import Pairing, Truth
from daemon.store.values import digests, values_of, vectors, wrong_rows
from detectors.as_category import as_category
from detectors.rhythm import Rhythm
from detectors.sketches.hits import Hits
from detectors.sketches.records import AT, CONTENT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Pairs, Reference, digest_of
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings

BOUNDS = ("bound.parquet", "bound.ndjson")
"""The bound rows in an epoch's folder, by their form."""
_MAX_LINE_BYTES = 1 << 20
_MALFORMED = (ValueError, TypeError, OverflowError)
"""What a row raises that cannot be what it should."""
_RESERVED = ("label", "predicted", "score", "value")
_MOST_STRANGE = 0.5
"""With a larger share of labels that are none of the model's, the file is of another spelling or another model."""


class Bound(NamedTuple):
    """Labelled rows for the source bound."""

    pairs: Pairs
    notes: tuple[str, ...] = ()
    """What a person should know of rows that say less than they could, a sentence each."""


def files_of(model: ModelSettings, path: Path) -> tuple[Path, Path | None]:
    """Records and bound rows of a reference: of an epoch's folder (one that was learnt has no bound rows), else the user's own files."""
    if not path.is_dir():
        return path, model.reference.bound
    return path / "records.parquet", next((path / name for name in BOUNDS if (path / name).exists()), model.reference.bound)


def load_reference(model: ModelSettings, records: Path, bound: Path | None) -> Reference:
    """Reference of a model; `Permanent(BAD_DATA)` names file and row of what can't be read, and says why bound rows are of no use."""
    return reference_of(model, records, load_bound(model, bound).pairs)


def reference_of(model: ModelSettings, records: Path, pairs: Pairs) -> Reference:
    """The same with bound rows that are read already."""
    rows = _sample(_rows(records), model.reference.max_n)
    if not rows:
        raise Permanent(Reason.BAD_DATA, f"{records}: no rows; give the reference at least some hundred records")
    kinds = model.subjects()
    sizes = {f"input.{name}": column.dimensions or 0 for name, column in model.columns.items()}
    columns = {s: v for s, kind in kinds.items() if (v := _column(rows, s, kind, sizes.get(s, 0))) is not None}
    scores = score_matrix([r["scores"] for r in rows], model.labels)
    if scores is not None:
        columns["output.scores"] = scores
    kinds = {s: kinds[s] for s in columns if s in kinds}
    sketches = summarise(columns, kinds)
    for subject, kind in kinds.items():
        if not subject.startswith("output."):
            sketches[subject]["wrong"] = Hits(n=len(rows), k=len(wrong_rows(kind, _raw(rows, subject), columns[subject])))
    ats = np.array([r["at"] for r in rows], dtype=np.float64)  # (n,)
    digest = _digest(columns, pairs)
    if model.reference.rhythm is not Rhythm.NONE:
        digest = digest_of(digest, model.reference.rhythm, ats.tobytes(), b"" if pairs.at is None else pairs.at.tobytes())
    contents = digests([json.dumps(row["inputs"], sort_keys=True, default=str).encode() for row in rows])
    return Reference(columns={**columns, CONTENT: contents, AT: ats}, kinds=kinds, sketches=sketches, bound=pairs, digest=digest)


def load_bound(model: ModelSettings, bound: Path | None) -> Bound:
    """The labelled rows alone, none where there is no file; `Permanent(BAD_DATA)` likewise: a file that is given is of use."""
    if bound is None:
        return Bound(Pairs.empty())
    rows = _sample(_rows(bound), model.reference.max_n)
    try:
        pairs = _pairs(rows, model)
    except _MALFORMED as e:  # a label that is no number
        raise Permanent(Reason.BAD_DATA, f"{bound}: {e}") from e
    if not pairs.n:
        raise Permanent(Reason.BAD_DATA, f"{bound}: none of its {len(rows)} rows has both an answer and a label that can be used")
    notes = []
    is_classes = bool(model.labels) and model.task.endswith("classification")
    if strange := [label for label in pairs.label if label not in model.labels] if is_classes else []:
        others = f"{len(strange)} of {pairs.n} bound rows have a label that is none of `labels`, say {strange[0]!r}"
        if len(strange) > _MOST_STRANGE * pairs.n:
            raise Permanent(Reason.BAD_DATA, f"{bound}: {others}")
        notes.append(f"{others}: what the model answers there counts as wrong.")
    if left_n := len(rows) - pairs.n:
        notes.append(f"{left_n} of {len(rows)} bound rows have no answer or no label that can be used, and are left out.")
    return Bound(pairs, tuple(notes))


def _pairs(rows: Iterable[dict[str, Any]], model: ModelSettings) -> Pairs:
    """Of the rows that have both an answer and a label, of the kind of the model's task."""
    pairing = Pairing(model)
    said = [(row, _output(row, model.task), _truth(row, model.task)) for row in rows]
    kept = [item for item in said if pairing.fits(item[1], item[2])]
    groups = {name: _objects(as_category(_lookup(row, name)) for row, _, _ in kept) for name in model.protected()}
    inputs = [inputs_of(model.paired(), row["inputs"], row["segments"]) for row, _, _ in kept]
    at = np.array([row["at"] for row, _, _ in kept], dtype=np.float64)
    return pairing.made([output for _, output, _ in kept], [truth for _, _, truth in kept], groups, inputs=inputs, at=at)


def _output(row: dict[str, Any], task: str) -> Output:
    predicted, value, text = row["predicted"], row["value"], row["text"]
    if task == "tabular-regression":
        return Output(value=_number_or_none(predicted if value is None else value))
    if task == "text-generation":
        return Output(text=_text_or_none(predicted if text is None else text))
    return Output(label=as_category(predicted), scores=row["scores"])


def _truth(row: dict[str, Any], task: str) -> Truth:
    label, judgement = row["label"], row["judgement"]
    if task == "tabular-regression":
        return Truth(value=_number_or_none(row["true_value"] if label is None else label))
    if task == "text-generation":
        score = row["score"] if label is None and judgement is None else judgement
        return Truth(score=_number_or_none(score), text=_text_or_none(label))
    return Truth(label=as_category(label))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet or NDJSON file, brought to {at, inputs, segments, what was answered, what was right}."""
    number = 1  # of the row being read, for the message
    try:
        for raw in _raw_rows(path):
            yield _normal(raw)
            number += 1
    except OSError as e:
        raise Permanent(Reason.BAD_DATA, f"{path}: {e.strerror or e}") from e
    except (*_MALFORMED, KeyError, AttributeError, RecursionError, pa.ArrowException) as e:
        raise Permanent(Reason.BAD_DATA, f"{path}, row {number}: {e}") from e


def _raw_rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(batch_size=4096):
            yield from batch.to_pylist()
        return
    with path.open("rb") as lines:
        while line := lines.readline(_MAX_LINE_BYTES):
            if not line.endswith(b"\n") and len(line) == _MAX_LINE_BYTES:
                raise ValueError(f"a line is longer than {_MAX_LINE_BYTES} bytes")
            if line.strip():
                yield json.loads(line)


def _normal(raw: dict[str, Any]) -> dict[str, Any]:
    if "inputs" in raw:
        inputs, output = _object(raw["inputs"]), _object(raw.get("output"))
    else:  # flat: every other column may be an input
        inputs, output = {k: v for k, v in raw.items() if k not in _RESERVED}, {k: raw.get(k) for k in ("scores", "value")}
    predicted = raw.get("predicted", output.get("label"))
    score, scores = raw.get("score"), output.get("scores")
    scores = scores if isinstance(scores, dict) else None
    if score is None and scores is not None:
        score = scores.get(as_category(predicted))
    return {
        "at": _seconds(raw.get("at")),
        "inputs": inputs,
        "segments": _object(raw.get("segments")),
        "predicted": predicted,
        "score": score,
        "scores": scores,
        "value": output.get("value"),
        "text": output.get("text"),
        "label": raw.get("label"),
        "true_value": raw.get("value") if "inputs" in raw else None,  # of a flat row it is the answer
        "judgement": raw.get("judgement"),
    }


def _seconds(at: object) -> float:
    """Since the epoch; NaN where there is no time, or none that reads as one. Without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        return float("nan")
    if isinstance(found, datetime):
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return float(found) if isinstance(found, int | float) else float("nan")


def _object(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise TypeError(f"expected an object, got {type(found).__name__}")
    return found


def _sample(rows: Iterable[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """A uniform sample of at most `most` rows, the same for the same file (reservoir, fixed seed), in file order."""
    rng = np.random.default_rng(0)
    kept: list[tuple[int, dict[str, Any]]] = []
    for i, row in enumerate(rows):
        if len(kept) < most:
            kept.append((i, row))
        elif (j := int(rng.integers(0, i + 1))) < most:
            kept[j] = (i, row)
    return [row for _, row in sorted(kept, key=lambda pair: pair[0])]


def _lookup(row: dict[str, Any], name: str) -> object:
    return sent_as(name, row["inputs"], row["segments"])


def _column(rows: list[dict[str, Any]], subject: str, kind: ColumnKind, dimensions: int) -> NDArray[Any] | None:
    """Values of one subject, or None when no row has it."""
    values = _raw(rows, subject)
    if all(v is None for v in values):
        return None
    if kind is ColumnKind.EMBEDDING:
        return vectors(values, dimensions)
    found = values_of(kind, values)
    return None if kind is ColumnKind.CATEGORY and all(v is None for v in found) else found  # nothing but NaN


def _raw(rows: list[dict[str, Any]], subject: str) -> list[object]:
    where, name = subject.split(".", 1)
    key = "predicted" if name == "label" else name
    if where == "output":
        return [as_category(row[key]) if name == "label" else row[key] for row in rows]
    return [_lookup(row, name) for row in rows]


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def _number_or_none(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]  # a bad value raises


def _objects(values: Iterable[object]) -> NDArray[np.object_]:
    items = list(values)
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


def _digest(columns: dict[str, NDArray[Any]], pairs: Pairs) -> str:
    parts: list[str | bytes] = [*_content(columns), json.dumps([pairs.predicted.tolist(), pairs.label.tolist()]), *_content(pairs.columns)]
    for name in ("scores", "predicted_value", "value", "quality"):
        if (judged := getattr(pairs, name)) is not None:
            parts += [name, judged.tobytes()]
    return digest_of(*parts)


def _content(columns: Mapping[str, NDArray[Any]]) -> list[str | bytes]:
    """Name and values of each column, in the order of the names."""
    found: list[str | bytes] = []
    for subject in sorted(columns):
        values = columns[subject]
        found += [subject, values.tobytes() if values.dtype != object else json.dumps(values.tolist())]
    return found
