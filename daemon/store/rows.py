"""The record log read back as rows for retraining, in the shape of `retrain.dataset.rows.SCHEMA`. Bounded: the newest rows win."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import Select, func, select

from daemon.store import tables
from daemon.store.arrow import integers, strings
from daemon.store.asked import groups_of
from retrain.dataset.rows import SCHEMA
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import Connection

T = TypeVar("T")

LIMIT_N = 100_000
MOST_FILES, MOST_READ_N = 200, 500_000
"""Files and records that are read for a sample: some seconds."""
ALL_FILES = 50_000
"""Files that are read where every hour counts: five weeks of minutes; a minute or two."""
_pane, _label = tables.pane, tables.label
_LOGGED = ["id", "at", "version", "text", "inputs", "segments", "predicted", "score", "output"]


def labelled(
    tx: Connection,
    data_dir: Path,
    model: str,
    *,
    since: float,
    until: float | None = None,
    version: str | None = None,
    limit: int = LIMIT_N,
    protected: Sequence[str] = (),
    cluster: str | None = None,
) -> pa.Table:
    """Sampled records with since <= at < until that have a class label, with its source; oldest first.

    `protected`: columns whose groups are written into `groups`; `cluster`: the column that names document or user.
    `Permanent(BAD_DATA)` when a file of the log is missing.
    """
    query = select(_label.c.row, _label.c.value, _label.c.source, _pane.c.path, _pane.c.start)
    query = query.join(_pane, _pane.c.id == _label.c.pane_id).where(_label.c.model == model, _label.c.state == "joined")
    found = tx.execute(_between(query, since, until, version).order_by(_pane.c.start.desc(), _pane.c.id.desc(), _label.c.row.desc()))
    wanted: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    n = 0
    for row in found:
        value = row.value.get("label")
        if value is None or row.path is None:
            continue
        wanted[row.path].append((row.row, value, row.source))
        n += 1
        if n >= limit:
            break
    tables_found = []
    for path, rows in wanted.items():
        rows.sort()
        logged = _read(data_dir, path).take(integers([i for i, _, _ in rows]))
        tables_found.append(_shape(logged, [v for _, v, _ in rows], [s for _, _, s in rows], protected, cluster))
    return _joined(tables_found, since, until)


def unlabelled(
    tx: Connection,
    data_dir: Path,
    model: str,
    *,
    since: float,
    until: float | None = None,
    version: str | None = None,
    limit: int = LIMIT_N,
    protected: Sequence[str] = (),
    cluster: str | None = None,
) -> pa.Table:
    """Sampled records with since <= at < until without a joined label; otherwise like `labelled`."""
    query = _between(select(_pane.c.id, _pane.c.path).where(_pane.c.model == model, _pane.c.path.is_not(None)), since, until, version)
    tables_found, n = [], 0
    for pane_id, path in tx.execute(query.order_by(_pane.c.start.desc(), _pane.c.id.desc())).all():
        has_label = set(tx.execute(select(_label.c.row).where(_label.c.model == model, _label.c.pane_id == pane_id)).scalars())
        logged = _read(data_dir, path)
        free = [i for i in range(logged.num_rows) if i not in has_label]
        logged = logged.take(integers(free[-(limit - n) :]))
        tables_found.append(_shape(logged, [None] * logged.num_rows, [None] * logged.num_rows, protected, cluster))
        n += logged.num_rows
        if n >= limit:
            break
    return _joined(tables_found, since, until)


def sampled_n(tx: Connection, model: str, *, since: float, until: float, version: str) -> int:
    """How many records the panes around that time hold, without a look into a file: no fewer than `sampled` has to draw from."""
    query = select(func.sum(_pane.c.n)).where(_pane.c.model == model, _pane.c.path.is_not(None))
    return int(tx.execute(_between(query, since, until, version)).scalar() or 0)


def sampled(
    tx: Connection,
    data_dir: Path,
    model: str,
    *,
    since: float,
    until: float,
    version: str,
    limit: int,
    most_read: int = MOST_READ_N,
    most_files: int | None = None,
) -> pa.Table:
    """At most `limit` sampled records with since <= at < until, spread evenly over that time, without labels; oldest first.

    Of more than `most_files` (None = `MOST_FILES`) files, or `most_read` records, one file of every two, three, … in a row is read, and
    rows are drawn from those alone. Both are drawn by a fixed seed: every sixtieth pane would be of the same minute of the hour.

    `Permanent(BAD_DATA)` when a file of the log is missing.
    """
    query = _between(select(_pane.c.path, _pane.c.n).where(_pane.c.model == model, _pane.c.path.is_not(None)), since, until, version)
    files = tx.execute(query.order_by(_pane.c.start, _pane.c.id)).all()
    n = sum(row.n for row in files)
    files = _one_of_each(files, max(1, -(-len(files) // (most_files or MOST_FILES)), -(-n // most_read)))
    ends = np.cumsum([0, *(row.n for row in files)])  # (files + 1,)
    chosen = np.sort(np.random.default_rng(0).choice(ends[-1], size=min(limit, int(ends[-1])), replace=False))
    found = []
    for row, first, last in zip(files, ends[:-1], ends[1:], strict=True):
        mine = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, last)] - first
        if len(mine):
            logged = _read(data_dir, row.path).take(integers(mine.tolist()))
            found.append(_shape(logged, [None] * len(mine), [None] * len(mine), (), None))
    return _joined(found, since, until)


def _one_of_each(files: Sequence[T], stretch: int) -> list[T]:
    """One of every so many neighbours."""
    rng = np.random.default_rng([0, len(files), stretch])
    return [files[start + int(rng.integers(min(stretch, len(files) - start)))] for start in range(0, len(files), stretch)]


def _between(query: Select[Any], since: float, until: float | None, version: str | None) -> Select[Any]:
    query = query.where(_pane.c.end > since)
    if until is not None:
        query = query.where(_pane.c.start < until)
    return query if version is None else query.where(_pane.c.version == version)


def _read(data_dir: Path, path: str) -> pa.Table:
    try:
        with pq.ParquetFile(data_dir / path) as file:  # read_table would import pandas
            return file.read(columns=_LOGGED)
    except (OSError, pa.ArrowException) as e:
        raise Permanent(Reason.BAD_DATA, f"record log {path}: {e}") from e


def _shape(
    logged: pa.Table, labels: Sequence[str | None], sources: Sequence[str | None], protected: Sequence[str], cluster: str | None
) -> pa.Table:
    wanted = [*protected, *([cluster] if cluster is not None else [])]
    named = _named(logged, wanted) if wanted else [{} for _ in range(logged.num_rows)]
    added = {
        "label": strings(labels),
        "source": strings(sources),
        "cluster": strings([cells.get(cluster or "") for cells in named]),
        "groups": strings([json.dumps({name: cells[name] for name in protected}) if protected else None for cells in named]),
    }
    return pa.Table.from_arrays([added[name] if name in added else logged[name] for name in SCHEMA.names], schema=SCHEMA)


def _named(logged: pa.Table, names: Sequence[str]) -> list[dict[str, str | None]]:
    """Values of some columns, each row."""
    cells = zip(logged["inputs"].to_pylist(), logged["segments"].to_pylist(), strict=True)
    return [groups_of(names, json.loads(i or "{}"), json.loads(s or "{}")) for i, s in cells]


def _joined(found: list[pa.Table], since: float, until: float | None) -> pa.Table:
    if not found:
        return SCHEMA.empty_table()
    table = pa.concat_tables(found)
    kept = pc.greater_equal(table["at"], since)
    if until is not None:
        kept = pc.and_(kept, pc.less(table["at"], until))
    return table.filter(kept).sort_by([("at", "ascending"), ("id", "ascending")]).combine_chunks()
