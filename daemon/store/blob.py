"""One pane's sketches, confusion counts and sketches of labelled pairs as the ledger keeps them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from detectors.sketches.confusion import Confusion
from detectors.sketches.judged import judged_from_bytes, judged_to_bytes
from detectors.sketches.summary import summary_from_bytes, summary_to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIZE = struct.Struct("<I")
_MAGIC = b"RTP\x02"  # the last byte is the version; version 1 had none, and nothing behind the confusion counts


def pane_to_bytes(summary: Mapping[str, Mapping[str, Any]], confusion: Confusion, judged: Mapping[str, Any] | None = None) -> bytes:
    """Length and bytes of the summary, of the confusion counts, then the sketches of labelled pairs; each carries its own version."""
    first, second = summary_to_bytes(summary), confusion.to_bytes()
    return b"".join([_MAGIC, _SIZE.pack(len(first)), first, _SIZE.pack(len(second)), second, judged_to_bytes(judged or {})])


def pane_from_bytes(data: bytes) -> tuple[dict[str, dict[str, Any]], Confusion, dict[str, Any]]:
    """The inverse; `ValueError` for anything else. Panes of version 1 read as they were."""
    is_first = data[:4] != _MAGIC
    summary, rest = _part(data if is_first else data[4:])
    confusion, judged = (rest, b"") if is_first else _part(rest)
    found: dict[str, dict[str, Any]] = dict(summary_from_bytes(summary))
    return found, Confusion.from_bytes(confusion), dict(judged_from_bytes(judged))


def _part(data: bytes) -> tuple[bytes, bytes]:
    """(what stands behind its length, the rest)."""
    if len(data) < _SIZE.size:
        raise ValueError(f"not a pane: {len(data)} bytes")
    end = _SIZE.size + _SIZE.unpack_from(data)[0]
    return data[_SIZE.size : end], data[end:]


def empty_pane() -> bytes:
    """Of a pane whose sketches were removed: nothing was seen, as far as a merge can tell."""
    return pane_to_bytes({}, Confusion())
