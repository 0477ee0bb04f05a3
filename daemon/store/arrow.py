"""Arrow arrays from Python values without `pyarrow.array`, which imports pandas for any list: 0.8 s and 60 MB for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


class TooLarge(ValueError):  # noqa: N818 (a domain failure, not a bug: house style)
    """More than 2 GiB of text for one array: make slices of the rows."""


def strings(values: Sequence[str | None]) -> pa.Array:
    """A string array; None = null."""
    found = [v or "" for v in values]
    valid = np.array([v is not None for v in values], dtype=bool) if None in values else None
    joined = "".join(found)
    if joined.isascii():  # then a character is a byte
        return _text(joined.encode(), map(len, found), len(found), valid)
    return utf8([v.encode() for v in found], valid)


def utf8(values: Sequence[bytes], valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """A string array of UTF-8 bytes, `TooLarge` above 2 GiB; `valid` False = null, None = all are valid."""
    return _text(b"".join(values), map(len, values), len(values), valid)


def _text(data: bytes, sizes: Iterable[int], n: int, valid: NDArray[np.bool_] | None) -> pa.Array:
    offsets = np.zeros(n + 1, dtype=np.int64)  # (n + 1,), bytes
    np.cumsum(np.fromiter(sizes, dtype=np.int64, count=n), out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise TooLarge(f"{offsets[-1]} bytes of text do not fit into one Arrow array")
    return pa.Array.from_buffers(pa.string(), n, [_bitmap(valid), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)])


def floats(values: Sequence[float | None] | NDArray[np.float64]) -> pa.Array:
    """A float64 array; None and NaN = null."""
    found = np.ascontiguousarray(values, dtype=np.float64)  # (n,)
    valid = ~np.isnan(found)
    return pa.Array.from_buffers(pa.float64(), len(found), [None if valid.all() else _bitmap(valid), pa.py_buffer(found)])


def integers(values: Sequence[int]) -> pa.Array:
    """An int64 array."""
    found = np.ascontiguousarray(values, dtype=np.int64)  # (n,)
    return pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(found)])


def _bitmap(valid: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
