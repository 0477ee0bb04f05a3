"""Values of one column, as records carry them, to an array of the column's kind."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.as_category import as_category
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TEXT_OR_NONE = {str, type(None)}
NO_ROWS = np.empty(0, dtype=np.int64)


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


def values_of(kind: ColumnKind, values: Sequence[Any]) -> NDArray[Any]:
    """As the kind is read, shape (n,): numbers, or texts with None where there is none."""
    if kind is ColumnKind.NUMERIC:
        return numbers(values)
    if {*map(type, values)} <= TEXT_OR_NONE:
        return objects(values)
    return objects(list(map(as_category if kind is ColumnKind.CATEGORY else _text, values)))


def wrong_rows(kind: ColumnKind, values: Sequence[Any], read: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of values that are there and were not read as the kind: no number; no vector of its size; not text but something else; a list.

    `read`: what became of the values; a numeric column without NaN has none, and most columns cost one look at their types.
    """
    if kind in {ColumnKind.NUMERIC, ColumnKind.EMBEDDING}:
        is_missing = np.isnan(read if read.ndim == 1 else read[:, 0])
        found = [i for i in np.flatnonzero(is_missing).tolist() if values[i] is not None]
        return np.asarray(found, dtype=np.int64)
    types = {*map(type, values)} - TEXT_OR_NONE
    if not types or (kind is ColumnKind.CATEGORY and not types & {list, dict}):
        return NO_ROWS
    right = (str, type(None)) if kind is ColumnKind.TEXT else (str, int, float, type(None))
    return np.asarray([i for i, v in enumerate(values) if not isinstance(v, right)], dtype=np.int64)


def digests(contents: Sequence[bytes]) -> NDArray[np.int64]:
    """Checksum of each, shape (n,): two that differ are taken for equal about once in 4 billion pairs."""
    return np.fromiter(map(zlib.crc32, contents), dtype=np.int64, count=len(contents))


def _number(value: object) -> float:
    if not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _text(value: object) -> str | None:
    """One value as text."""
    return value if value is None or isinstance(value, str) else str(value)
