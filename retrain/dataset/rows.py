"""One row of the record log as retraining sees it: the schema, reading and writing. No torch.

Parquet in the shape of `SCHEMA`, or NDJSON of labelled records as posted to /v1/records with a "label" beside the record's fields.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from detectors.as_category import as_category
from retrain.types import Permanent, Reason
from retrain.whole import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        ("at", pa.float64()),  # seconds since the epoch, UTC
        ("version", pa.string()),
        ("text", pa.string()),
        ("inputs", pa.string()),  # JSON object
        ("segments", pa.string()),  # JSON object
        ("predicted", pa.string()),
        ("score", pa.float64()),  # of the predicted label, 0..1
        ("label", pa.string()),
        ("source", pa.string()),  # who gave the label
        ("cluster", pa.string()),  # document or user; null = the row stands alone
        ("groups", pa.string()),  # JSON object: protected column -> group
        ("output", pa.string()),  # JSON object: the whole answer
    ]
)
OWN_SOURCES = frozenset({"own", "model", "self"})
"""Label sources that are a model's word: such rows never train (a model trained on its own answers confirms its errors)."""
MAX_ROWS = 1_000_000
"""A larger file is refused: the splits are made in memory."""
_MAX_LINE_BYTES = 1 << 20


def table_of(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """A table in the shape of `SCHEMA`; fields that a row lacks become null, unknown ones are an error."""
    known = set(SCHEMA.names)
    items = [dict(row) for row in rows]
    for row in items:
        if unknown := set(row) - known:
            raise ValueError(f"unknown columns {sorted(unknown)}; a row has {SCHEMA.names}")
    return pa.Table.from_pylist(items, schema=SCHEMA)


def read_rows(path: Path) -> pa.Table:
    """Rows of a file; `Permanent(BAD_DATA)` names the file and what is wrong with it."""
    try:
        return _from_parquet(path) if path.suffix == ".parquet" else table_of(_from_ndjson(path))
    except OSError as e:
        raise Permanent(Reason.BAD_DATA, f"{path}: {e.strerror or e}") from e
    except (ValueError, TypeError, KeyError, AttributeError) as e:  # pyarrow's errors are ValueErrors too
        raise Permanent(Reason.BAD_DATA, f"{path}: {e}") from e


def write_rows(path: Path, table: pa.Table) -> None:
    """The whole file or none of it. Equal tables give equal bytes."""
    with whole(path) as out:
        pq.write_table(table, out, compression="zstd")


def text_digest(text: str) -> str:
    """Names a text up to case, spacing and Unicode form: two rows with one digest are duplicates."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def text_digests(table: pa.Table) -> list[str]:
    """Digest of every row's text; null counts as empty."""
    return [text_digest(text or "") for text in table["text"].to_pylist()]


def is_human(source: str | None) -> bool:
    """Whether a label's source is a person (or a system of record), not a model. Unknown is no."""
    return source is not None and source.strip().casefold() not in OWN_SOURCES


def groups_of(table: pa.Table, columns: Iterable[str]) -> dict[str, list[str | None]]:
    """Protected column -> group of each row; None = unknown. Looked for in `groups`, then `inputs`, then `segments`."""
    places = [[json.loads(cell) if cell else {} for cell in table[name].to_pylist()] for name in ("groups", "inputs", "segments")]
    found: dict[str, list[str | None]] = {}
    for column in columns:
        values = ((next((place[column] for place in row if place.get(column) is not None), None)) for row in zip(*places, strict=True))
        found[column] = [as_category(value) for value in values]
    return found


def _from_parquet(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        if file.metadata.num_rows > MAX_ROWS:
            raise ValueError(f"{file.metadata.num_rows} rows; at most {MAX_ROWS} are read")
        found = file.read()
    for name in ("id", "text"):
        if name not in found.column_names:
            raise ValueError(f"column {name!r} is missing; a row has {SCHEMA.names}")
    columns = [
        found[field.name].cast(field.type) if field.name in found.column_names else pa.nulls(found.num_rows, field.type) for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _from_ndjson(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(_MAX_LINE_BYTES):
            number += 1
            if number > MAX_ROWS or (len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n")):
                raise ValueError(f"line {number}: more than {MAX_ROWS} rows or {_MAX_LINE_BYTES} bytes in one")
            if line.strip():
                yield _row_of_record(json.loads(line), number)


def _row_of_record(record: dict[str, Any], number: int) -> dict[str, Any]:
    inputs, segments = record.get("inputs") or {}, record.get("segments") or {}
    texts = [v for k, v in inputs.items() if isinstance(v, str) and (k == "text" or "text" not in inputs)]
    if len(texts) != 1:
        raise ValueError(f'line {number}: inputs need a "text", or exactly one string, got {sorted(inputs)}')
    output = record.get("output") or {}
    predicted = output.get("label")
    return {
        "id": str(record.get("id", f"line-{number}")),
        "version": record.get("version"),
        "text": texts[0],
        "inputs": json.dumps(inputs),
        "segments": json.dumps(segments),
        "predicted": predicted,
        "score": (output.get("scores") or {}).get(predicted),
        "label": record.get("label"),
        "source": record.get("source", "file"),
        "cluster": record.get("cluster"),
        "output": json.dumps(output),
    }
