"""The spool's newest entries, kept in memory: a reader that keeps up needs neither the file nor its checksums.

Each call that waits for a file, or checks a large checksum, hands the interpreter to the busy door and gets it back milliseconds later: the
reader would spend most of its time on that.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from daemon.capture.frames import Entry, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_BYTES = 16 * 2**20
"""On disk; a reader that is further behind reads the file."""


class Group(NamedTuple):
    """Entries that were written together, [start, end) of a segment."""

    start: Mark
    end: Mark
    written: Sequence[tuple[bytes, Entry]]
    """What stands before each entry's lines, and the entry; its mark is not set."""

    def entries(self, after: Mark) -> Iterator[Entry]:
        """Those behind a mark, with theirs."""
        segment, offset = self.start
        for head, entry in self.written:
            offset += len(head) + len(entry.payload)
            mark = Mark(segment, offset)
            if mark > after:
                yield Entry(entry.kind, entry.payload, entry.n, entry.received_at, mark, entry.heads)


class Tail:
    """Durable entries only, without a gap; used under the spool's lock."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._groups: deque[Group] = deque()
        self._bytes = 0

    def put(self, group: Group) -> None:
        """The next one."""
        self._groups.append(group)
        self._bytes += group.end.offset - group.start.offset
        while self._bytes > self._most_bytes:
            self._drop()

    def since(self, after: Mark) -> list[Group]:
        """Those that end behind a mark; earlier ones have been read and are dropped."""
        while self._groups and self._groups[0].end <= after:
            self._drop()
        return list(self._groups)

    def _drop(self) -> None:
        group = self._groups.popleft()
        self._bytes -= group.end.offset - group.start.offset
