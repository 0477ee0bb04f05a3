"""A record between the spool and its pane: what places it is known, the rest stays the line that was sent until the pane is built."""

from __future__ import annotations

from datetime import datetime
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from daemon.store.slices import feeds, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Heads(Struct, frozen=True, array_like=True, gc=False):
    """What places the records of one entry, in the order of its lines. Where all are of one model or version it stands once."""

    ids: list[str]
    models: list[str]
    versions: list[str]
    ats: list[float]
    """Seconds since the epoch, UTC."""


class Parsed(Struct, frozen=True, gc=False):
    """A record's line taken apart as far as its place and its three objects, whose JSON stays as it was sent."""

    id: str
    model: str
    version: str
    at: datetime
    output: Raw
    inputs: Raw = Raw(b"{}")
    segments: Raw = Raw(b"{}")


class Lines:
    """The NDJSON of one entry, shared by its records."""

    __slots__ = ("_ends", "data", "n")

    def __init__(self, data: bytes, n: int) -> None:
        self.data, self.n = data, n
        self._ends: list[int] = []

    def line(self, row: int) -> bytes:
        """One of them; the first look finds all."""
        self._ends = self._ends or [-1, *feeds(self.data).tolist(), len(self.data)]
        return self.data[self._ends[row] + 1 : self._ends[row + 1]]


class Spooled(Struct, frozen=True, gc=False):
    """One record."""

    id: str
    model: str
    version: str
    at: float
    lines: Lines
    row: int
    """Its line."""

    def line(self) -> bytes:
        """Its JSON."""
        return self.lines.line(self.row)

    def parsed(self) -> Parsed:
        """Its JSON taken apart."""
        return _PARSED.decode(self.line())

    def alone(self) -> Spooled:
        """The same without the other lines of its entry: a few records of many would hold all of it."""
        return Spooled(self.id, self.model, self.version, self.at, Lines(self.line(), 1), 0)


class Rows(Struct, frozen=True):
    """One version's records of a pane before they are read."""

    version: str
    ids: list[str]
    ats: list[float]
    lines: list[memoryview]
    """NDJSON, whole records in the same order, some `SLICE_N` together; views of what another process was sent."""


def heads_of(ids: list[str], models: list[str], versions: list[str], ats: list[float]) -> bytes:
    """`Heads` as an entry carries them."""
    return _encode(Heads(ids, _folded(models), _folded(versions), ats))


def records_of(payload: bytes, heads: bytes = b"") -> list[Spooled]:
    """The records of an entry. Raises ValueError where its lines cannot be records; with heads nobody looks at them here."""
    if not heads:
        found = parse_records(payload)
        lines = Lines(payload, len(found))
        return [Spooled(r.id, r.model, r.version, r.at.timestamp(), lines, row) for row, r in enumerate(found)]
    known = _HEADS.decode(heads)
    n = len(known.ids)
    models = repeat(known.models[0], n) if len(known.models) == 1 else known.models
    versions = repeat(known.versions[0], n) if len(known.versions) == 1 else known.versions
    return list(map(Spooled, known.ids, models, versions, known.ats, repeat(Lines(payload, n)), range(n)))


def parse_records(payload: bytes) -> list[Parsed]:
    """The records of some lines. Raises ValueError on what cannot be one."""
    return _PARSED.decode_lines(payload)


def rows_of(records: Sequence[Spooled]) -> Rows:
    """Of one record at least; all are of one version, in the order in which they came."""
    return Rows(
        version=records[0].version,
        ids=[r.id for r in records],
        ats=[r.at for r in records],
        lines=[memoryview(lines) for lines in joined(_pieces(records))],
    )


def _pieces(records: Sequence[Spooled]) -> Iterable[tuple[bytes, int]]:
    """An entry's lines as they are where all of its records are here, otherwise one by one."""
    i = 0
    while i < len(records):
        first = records[i]
        end = i + first.lines.n  # rows of an entry only grow: the last one there means all of them
        if first.row == 0 and end <= len(records) and records[end - 1].lines is first.lines:
            yield first.lines.data, first.lines.n
            i = end
        else:
            yield first.line(), 1
            i += 1


def _folded(names: list[str]) -> list[str]:
    return names[:1] if len(set(names)) == 1 else names


_PARSED = msgspec.json.Decoder(Parsed)
_HEADS = msgspec.msgpack.Decoder(Heads)
_encode = msgspec.msgpack.Encoder().encode
