"""One pane's sketches and confusion counts as the ledger keeps them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from detectors.sketches.confusion import Confusion
from detectors.sketches.summary import summary_from_bytes, summary_to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIZE = struct.Struct("<I")


def pane_to_bytes(summary: Mapping[str, Mapping[str, Any]], confusion: Confusion) -> bytes:
    """Length of the summary, the summary, the confusion counts; each carries its own version."""
    data = summary_to_bytes(summary)
    return _SIZE.pack(len(data)) + data + confusion.to_bytes()


def pane_from_bytes(data: bytes) -> tuple[dict[str, dict[str, Any]], Confusion]:
    """The inverse; `ValueError` for anything else."""
    if len(data) < _SIZE.size:
        raise ValueError(f"not a pane: {len(data)} bytes")
    end = _SIZE.size + _SIZE.unpack_from(data)[0]
    found: dict[str, dict[str, Any]] = dict(summary_from_bytes(data[_SIZE.size : end]))
    return found, Confusion.from_bytes(data[end:])


def empty_pane() -> bytes:
    """Of a pane whose sketches were removed: nothing was seen, as far as a merge can tell."""
    return pane_to_bytes({}, Confusion())
