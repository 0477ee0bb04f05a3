"""The spool's file format: one frame a request, with its length and checksum, so that a torn tail and a damaged middle are told apart."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

FILE_HEAD = b"retuned spool 2\n"
"""A segment begins with this."""
OLD_HEADS = frozenset({b"retuned spool 1\n"})
"""Of segments that are read and never written: they have no frames with heads."""
_MAGIC = 0x5AFE10C5
_HEAD = struct.Struct("<IIIBId")  # magic, CRC-32 of all that follows it, payload bytes, kind, n, received_at
_REST = struct.Struct("<IBId")  # the part of the head that the CRC covers
HEAD_BYTES = _HEAD.size
MAX_PAYLOAD_BYTES = 2**30
_MAGIC_BYTES = struct.pack("<I", _MAGIC)
_LENGTH = struct.Struct("<I")  # of the heads, before them


class EntryKind(IntEnum):
    """What an entry's lines are."""

    RECORDS = 1
    LABELS = 2


_RECORDS_WITH_HEADS = 3  # in a frame: the payload begins with the heads
_KINDS = {**{int(kind): kind for kind in EntryKind}, _RECORDS_WITH_HEADS: EntryKind.RECORDS}


class Mark(NamedTuple):
    """A position between two entries. Ordered; `Mark(0, 0)` is before everything."""

    segment: int
    offset: int


START = Mark(0, 0)


class Entry(NamedTuple):
    """One acknowledged request."""

    kind: EntryKind
    payload: bytes
    """NDJSON."""
    n: int
    received_at: float
    """Seconds since the epoch by the server's clock."""
    mark: Mark
    """The position after it."""
    heads: bytes = b""
    """`store.spooled.Heads` of its records; empty where nobody made them."""


class Damage(NamedTuple):
    """Bytes of a segment that are no frame."""

    start: int
    end: int


def frame_head(kind: EntryKind, payload: bytes, n: int, received_at: float, heads: bytes = b"") -> bytes:
    """What stands before the lines in a segment; `heads` of records only."""
    first = _LENGTH.pack(len(heads)) + heads if heads else b""
    rest = _REST.pack(len(first) + len(payload), _RECORDS_WITH_HEADS if heads else kind, n, received_at)
    return b"".join((_MAGIC_BYTES, struct.pack("<I", crc32(payload, crc32(first, crc32(rest)))), rest, first))


def frames(file: BinaryIO, segment: int, start: int, end: int) -> Iterator[Entry | Damage]:
    """The frames of a segment in [start, end); `start` is a frame's beginning. After damage it goes on at the next good frame."""
    offset = start
    file.seek(offset)
    while offset < end:
        entry = _frame(file, segment, offset, end)
        if entry is None:
            resume = _next_good(file, segment, offset + 1, end)
            yield Damage(offset, resume)
            offset = resume
            file.seek(offset)
            continue
        yield entry
        offset = entry.mark.offset


def _frame(file: BinaryIO, segment: int, offset: int, end: int) -> Entry | None:
    """The frame at the file's position, or None when there is no whole good one."""
    head = file.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return None
    magic, crc, length, kind, n, received_at = _HEAD.unpack(head)
    after = offset + HEAD_BYTES + length
    if magic != _MAGIC or length > MAX_PAYLOAD_BYTES or after > end:
        return None
    payload = file.read(length)
    if len(payload) < length or crc32(payload, crc32(head[8:])) != crc or kind not in _KINDS:
        return None
    heads_n = _LENGTH.unpack_from(payload)[0] if kind == _RECORDS_WITH_HEADS else 0
    lines, heads = (payload[_LENGTH.size + heads_n :], payload[_LENGTH.size : _LENGTH.size + heads_n]) if heads_n else (payload, b"")
    return Entry(_KINDS[kind], lines, n, received_at, Mark(segment, after), heads)


def _next_good(file: BinaryIO, segment: int, start: int, end: int) -> int:
    """Where the next whole good frame begins, or `end`."""
    offset, step = start, 2**20
    while offset < end:
        file.seek(offset)
        found = file.read(step + len(_MAGIC_BYTES) - 1).find(_MAGIC_BYTES)
        if found < 0:
            offset += step
            continue
        offset += found
        file.seek(offset)
        if offset < end and _frame(file, segment, offset, end) is not None:
            return offset
        offset += 1
    return end
