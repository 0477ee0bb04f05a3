"""Megabytes for a process beside this one, handed over in one call.

Through a pipe they go in pieces of 64 KiB, and after each of them the sender waits for the interpreter, which a busy door has.
"""

from __future__ import annotations

import os
import sys
import tempfile

_MOST_BYTES = 2**30  # of one call; Linux stops a little below 2 GiB


class Parcel:
    """A file without a name, in memory on Linux. One process puts something in, the other one takes it out, in turns; `close` it."""

    def __init__(self, fd: int | None = None) -> None:
        self.fd = _nameless() if fd is None else fd

    def put(self, data: bytes) -> int:
        """Returns the size, which `take` has to know."""
        view = memoryview(data)
        for start in range(0, len(view), _MOST_BYTES):
            piece, offset = view[start : start + _MOST_BYTES], start
            while piece:
                written = os.pwrite(self.fd, piece, offset)
                piece, offset = piece[written:], offset + written
        return len(view)

    def take(self, size: int) -> bytes:
        """What was put; its memory is free then."""
        pieces: list[bytes] = []
        n = 0
        while n < size:
            piece = os.pread(self.fd, min(size - n, _MOST_BYTES), n)
            if not piece:
                raise EOFError("the parcel is shorter than was said")
            pieces.append(piece)
            n += len(piece)
        os.ftruncate(self.fd, 0)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """On this side."""
        os.close(self.fd)


def _nameless() -> int:
    if sys.platform == "linux":
        return os.memfd_create("retuned", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
