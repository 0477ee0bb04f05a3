"""Small requests to the ingest routes, answered without a task each: half of a single record's cost was uvicorn's way into and out of ASGI.

What is done with a body is `Ingest`'s own; here it is only received and answered. Everything unusual (another route or header, a body
of more than 64 KB or unknown size, a request behind an unanswered one) goes the usual way through ASGI, with the same answers.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from daemon.capture.connections import BoundedConnection
from daemon.capture.http import CLOSE, CONTENT_TYPES, ROUTES, Answer
from retrain.types import Transient

if TYPE_CHECKING:
    import asyncio

    from daemon.capture.frames import EntryKind
    from daemon.capture.http import Ingest
    from daemon.capture.wire import Batch

log = structlog.get_logger()
MOST_BYTES = 64 * 1024
"""Of a small body: what uvicorn lets pile up without pausing the connection."""
_URLS = {path.encode(): kind for path, kind in ROUTES.items()}
_UNUSUAL = frozenset({b"content-encoding", b"transfer-encoding", b"upgrade", b"expect"})
_FAILED = Answer(500, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21"), CLOSE], b"Internal Server Error")


class _Small:
    """One request: stands where uvicorn has its cycle, with what it reads and writes there."""

    def __init__(self, kind: EntryKind, size: int) -> None:
        self.kind, self.size = kind, size
        self.body, self.more_body = bytearray(), True
        self.keep_alive, self.disconnected, self.response_complete = True, False, False
        self.message_event = self
        self.set = _nothing  # of the event for which no task waits here


def _nothing() -> None:
    """Nobody waits."""


class SmallRequests(BoundedConnection):
    """One connection. A subclass has the `ingest` that it serves (`small_requests`)."""

    ingest: ClassVar[Ingest]
    usual: ClassVar[tuple[object, object, bytes]] = (None, None, b"")
    """The newest answer that ended no connection: default headers, answer, bytes."""
    cycle: Any

    @property
    def waited_for(self) -> set[Any]:
        """A graceful end waits for these; uvicorn has its tasks in it."""
        return self.tasks

    def on_message_begin(self) -> None:
        """Start without the scope, which only ASGI needs."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self.is_in_head, self.head_n = True, 0

    def on_headers_complete(self) -> None:
        """Decide which way the request goes."""
        self.is_in_head = False
        kind = _URLS.get(self.url)
        size = self._size() if kind is not None and self._is_next() else None
        if kind is None or size is None:
            url, headers, is_waiting = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, is_waiting
            self.headers += headers  # the list that the scope has
            super().on_headers_complete()
            return
        self.cycle = _Small(kind, size)
        self.ingest.held_bytes += size

    def _is_next(self) -> bool:
        """Whether it may be answered now, and this server has no wishes of its own about requests."""
        is_free = self.cycle is None or self.cycle.response_complete
        parser = self.parser
        is_usual = parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and parser.should_keep_alive()
        return is_free and is_usual and not (self.root_path or self.access_log or self.limit_concurrency is not None)

    def _size(self) -> int | None:
        """Bytes of a small body with no header that needs a look; None: the usual way knows what to say."""
        size = None
        for name, value in self.headers:
            if name == b"content-length" and value.isdigit() and len(value) < 6:  # noqa: PLR2004 (digits of MOST_BYTES, and one)
                size = int(value)
            elif name in _UNUSUAL or (name == b"content-type" and value not in CONTENT_TYPES):
                return None
        port = self.ingest.port
        if size is None or size > min(MOST_BYTES, port.limits.max_body_bytes) or port.refusal() is not None:
            return None
        return size if self.ingest.held_bytes + size <= port.limits.max_held_bytes else None

    def on_body(self, body: bytes) -> None:
        """Gather it."""
        if type(self.cycle) is _Small:
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here: check it, and answer when it is on disk."""
        if type(self.cycle) is not _Small:
            super().on_message_complete()
            return
        self.cycle.more_body = False
        try:
            self._take(self.cycle)
        except Exception:  # as uvicorn does for a task that fails
            log.exception("ingest.failed")
            self._write(self.cycle, _FAILED)

    def _take(self, small: _Small) -> None:
        port = self.ingest.port
        now = port.now()
        batch = self.ingest.checked(small.kind, bytes(small.body), now)
        if not batch.n:
            self._write(small, self.ingest.taken(small.kind, batch))
            return
        try:
            written = port.spool.begin(small.kind, batch.payload, batch.n, now, batch.heads)
        except Transient as error:
            self._write(small, self.ingest.unwritten(small.kind, batch, error))
            return
        self.waited_for.add(written)
        written.add_done_callback(partial(self._written, small, batch))

    def _written(self, small: _Small, batch: Batch, written: asyncio.Future[None]) -> None:
        self.waited_for.discard(written)
        if written.cancelled():  # the service ends by force: nothing was acknowledged
            self.transport.close()
            return
        error = written.exception()
        if error is None:
            self._write(small, self.ingest.taken(small.kind, batch))
        elif isinstance(error, Transient):
            self._write(small, self.ingest.unwritten(small.kind, batch, error))
        else:
            log.error("ingest.failed", exc_info=error)
            self._write(small, _FAILED)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away: what of its body is here counts no more; what is being written is written."""
        if type(self.cycle) is _Small:
            self._free(self.cycle)
        super().connection_lost(exc)

    def _free(self, small: _Small) -> None:
        self.ingest.held_bytes -= small.size
        small.size = 0

    def _write(self, small: _Small, answer: Answer) -> None:
        self._free(small)
        if small.disconnected or self.transport.is_closing():
            return
        data, is_last = self._told(answer, is_last=not small.keep_alive)
        self.transport.write(data)
        small.response_complete = True
        if is_last:
            self.transport.close()
        self.on_response_complete()

    def _told(self, answer: Answer, *, is_last: bool) -> tuple[bytes, bool]:
        """As it is sent, and whether the connection ends with it. The usual answer is the same for a second: until the date changes."""
        default, of = self.server_state.default_headers, type(self)
        if not is_last and of.usual[0] is default and of.usual[1] is answer:
            return of.usual[2], False
        headers = [*default, *answer.headers]
        is_last = is_last or CLOSE in headers
        if is_last and CLOSE not in headers:
            headers.append(CLOSE)
        lines = [part for name, value in headers for part in (name, b": ", value, b"\r\n")]
        data = b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body])
        if not is_last:
            of.usual = default, answer, data
        return data, is_last


def small_requests(ingest: Ingest, **bounds: float) -> type[SmallRequests]:
    """The protocol for `uvicorn.Config(http=…)` of the server that serves this `Ingest`; `bounds`: other ones for `BoundedConnection`."""
    return type("SmallRequestsOfOne", (SmallRequests,), {"ingest": ingest, **bounds})
