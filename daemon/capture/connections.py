"""What one connection, and all of them together, may take: without bounds a client that leaks connections ends the service's ticks.

A connection takes a file descriptor as the ledger and the record log do. uvicorn ends none on which a request has begun, and takes
headers of any size, in quadratic time.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

log = structlog.get_logger()
STALL_S = 60.0
"""So long without a byte from a client that owes some, or without one taken by it, and the connection ends."""
MOST_HEAD_BYTES = 64 * 1024
"""Of a request's first line and headers, beyond the piece that they begin in."""
_FILES_N = 65_536
"""Open files that are asked for, where the system allows them."""
_OWN_N = 256
"""Of these for the service itself: ledger, record log, spool, workers."""


def most_connections() -> int:
    """Ask for many open files; gives how many of them may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_N if hard == resource.RLIM_INFINITY else min(_FILES_N, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(_OWN_N, (_FILES_N if soft == resource.RLIM_INFINITY else soft) - _OWN_N)


class BoundedConnection(HttpToolsProtocol):
    """One connection. A subclass says when a request's head begins and ends."""

    most_n: ClassVar[int] = _FILES_N
    stall_s: ClassVar[float] = STALL_S
    is_in_head, head_n, is_heard, unsent_n = False, 0, False, 0
    look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """One too many is closed, unheard: the client's own retry finds room later."""
        super().connection_made(transport)
        if len(self.connections) > self.most_n:
            log.warning("connections.full", most_n=self.most_n)
            transport.abort()
            return
        self.look = self.loop.call_later(self.stall_s, self._look)

    def data_received(self, data: bytes) -> None:
        """As it is, but for a head without end."""
        was_in_head, self.is_heard = self.is_in_head, True
        super().data_received(data)
        if was_in_head and self.is_in_head:
            self.head_n += len(data)
            if self.head_n > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"a request's headers hold at most {MOST_HEAD_BYTES} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is looked at any more."""
        if self.look is not None:
            self.look.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        unsent_n = self.transport.get_write_buffer_size()
        if unsent_n > 0 and unsent_n == self.unsent_n:
            self.transport.abort()
        elif unsent_n == 0 and not self.is_heard and self._waits():
            self.transport.close()
        else:
            self.is_heard, self.unsent_n = False, unsent_n
            self.look = self.loop.call_later(self.stall_s, self._look)

    def _waits(self) -> bool:
        """Whether it is the client's turn."""
        is_asking = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        return not is_asking and not self.flow.read_paused
