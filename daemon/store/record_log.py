"""The record log: one Parquet file a pane, version and sequence number, written whole or not at all, never changed."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from daemon.store.arrow import integers
from detectors.types import digest_of
from retrain.types import Permanent, Reason
from retrain.whole import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CACHE_N = 100_000


def log_path(model: str, version: str, start: float, seq: int) -> str:
    """Relative to data_dir. The version is the user's text: only its digest gets into a path."""
    day = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d")
    return f"records/{model}/{day}/{start:.3f}-{digest_of(version)[:8]}-{seq}.parquet"


def write_log(path: Path, table: pa.Table) -> None:
    """On the disk, whole, when this returns: an orphan of an earlier crash is overwritten."""
    with whole(path) as out:
        pq.write_table(table, out, compression="zstd", use_dictionary=["version", "predicted", "segments"], write_statistics=False)


class RecordLog:
    """Reads rows back; keeps files in memory once they were wanted (at most 100,000 rows): labels mostly concern recent records."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._cache: OrderedDict[str, pa.Table] = OrderedDict()
        self._cached_n = 0

    def rows(self, path: str, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some rows of a file, in this order; `Permanent(BAD_DATA)` when the file is gone or is none of ours."""
        table = self._cache.get(path)
        if table is None:
            table = self._read(path)
            self._keep(path, table)
        else:
            self._cache.move_to_end(path)
        try:
            return table.select(columns).take(integers(rows))
        except (pa.ArrowException, KeyError) as e:
            raise Permanent(Reason.BAD_DATA, f"{path}: {e}") from e

    def _read(self, path: str) -> pa.Table:
        try:
            with pq.ParquetFile(self._data_dir / path) as file:  # read_table would import pandas
                return file.read()
        except (OSError, pa.ArrowException) as e:
            raise Permanent(Reason.BAD_DATA, f"record log {path}: {e}") from e

    def _keep(self, path: str, table: pa.Table) -> None:
        old = self._cache.pop(path, None)
        self._cached_n += table.num_rows - (old.num_rows if old is not None else 0)
        self._cache[path] = table
        while self._cached_n > _CACHE_N and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached_n -= dropped.num_rows
