"""The spool's newest entries, kept in memory: a reader that keeps up needs neither the file nor its checksums.

Each call that waits for a file, or checks a large checksum, hands the interpreter to the busy door and gets it back milliseconds later: the
reader would spend most of its time on that.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from daemon.capture.frames import START, Entry, Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_BYTES = 16 * 2**20
"""Of their lines; a reader that is further behind reads the file."""


class Tail:
    """One thread puts in, another one takes out; durable entries only, without a gap."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self._start = START
        self._bytes = 0

    def put(self, start: Mark, entries: Iterable[Entry]) -> None:
        """The next ones; the first of them begins at `start`."""
        with self._lock:
            if not self._entries:
                self._start = start
            for entry in entries:
                self._entries.append(entry)
                self._bytes += len(entry.payload)
            while self._bytes > self._most_bytes:
                self._drop()

    def since(self, after: Mark) -> tuple[Mark | None, list[Entry]]:
        """(Where those that are here begin, None = nothing is here; those behind `after`). Earlier ones have been read and are dropped."""
        with self._lock:
            while self._entries and self._entries[0].mark <= after:
                self._drop()
            return (self._start if self._entries else None), list(self._entries)

    def _drop(self) -> None:
        entry = self._entries.popleft()
        self._start = entry.mark
        self._bytes -= len(entry.payload)
