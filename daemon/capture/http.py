"""POST /v1/records and /v1/labels as a raw ASGI app: a framework on this route would cost more than all of its work.

200 {"accepted": n, "rejected": [...]}: at least one line is in the spool on disk. 4xx {"accepted": 0, "errors": [...]}: none is, and
sending the same again is no use. 503 with Retry-After: none is, send the same again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from daemon.capture.counts import Counts
from daemon.capture.frames import EntryKind
from daemon.capture.lines import TooMany
from daemon.capture.rejection import Rejected, Rejection
from daemon.capture.wire import Batch, decode_labels, decode_records
from retrain.types import Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping

    from daemon.capture.spool import Spool

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ROUTES = {"/v1/records": EntryKind.RECORDS, "/v1/labels": EntryKind.LABELS}
CONTENT_TYPES = frozenset({b"", b"application/json", b"application/x-ndjson", b"application/ndjson", b"application/jsonl"})
"""Those that a foreign web page cannot send without asking first; none given is read as JSON."""
_DECODE = {EntryKind.RECORDS: decode_records, EntryKind.LABELS: decode_labels}
_JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
_OK, _BAD, _NOT_FOUND, _NOT_ALLOWED, _TOO_LARGE, _MEDIA, _UNPROCESSABLE, _BUSY = 200, 400, 404, 405, 413, 415, 422, 503


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request, and all of them together, may hold."""

    max_body_bytes: int = 16 * 2**20
    """Of one body; above it 413."""
    max_batch_n: int = 10_000
    """Records in one body; above it 413."""
    max_held_bytes: int = 128 * 2**20
    """Of all bodies being received or written; above it 503. Bounds the service's memory at any number of clients."""
    future_s: float = 300.0
    """A record dated further ahead of the clock is refused."""


@dataclass(frozen=True, kw_only=True)
class IngestPort:
    """All that the routes need of the rest."""

    spool: Spool
    models: Callable[[], Collection[str]]
    """Names of the models that are watched."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    refusal: Callable[[], Transient | None] = lambda: None
    """Why nothing can be taken in (the disk is low), or None: asked before a body is read."""
    counts: Counts = field(default_factory=Counts)
    limits: Limits = field(default_factory=Limits)


class Answer(NamedTuple):
    """To one request, counted."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Ingest:
    """The ASGI app; every scope but its two routes goes to `otherwise` (None: 404)."""

    def __init__(self, port: IngestPort, otherwise: App | None = None) -> None:
        self.port, self.otherwise = port, otherwise
        self.held_bytes = 0
        """Of bodies being received or written."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind = ROUTES.get(scope.get("path", "")) if scope["type"] == "http" else None
        if kind is None:
            if self.otherwise is not None:
                await self.otherwise(scope, receive, send)
            elif scope["type"] == "http":
                told = {"errors": [{"path": scope["path"], "rule": f"one of {', '.join(ROUTES)}"}]}
                await self._send(send, self._answer(_NOT_FOUND, told))
            return
        if scope["method"] != "POST":
            told = {"errors": [{"path": scope["path"], "rule": "POST"}]}
            await self._send(send, self._answer(_NOT_ALLOWED, told, (b"allow", b"POST")))
            return
        body = _Body(self)
        try:
            await self._ingest(kind, body, scope["headers"], receive, send)
        finally:
            body.free()

    async def _ingest(self, kind: EntryKind, body: _Body, headers: list[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
        port, limits = self.port, self.port.limits
        if (full := port.refusal()) is not None:
            port.counts.refuse(kind, Rejection.DISK_LOW)
            await self._send(send, self._busy(full, Rejection.DISK_LOW))
            return
        if (problem := _header_problem(headers, limits)) or (problem := await body.read(receive, limits)):
            await self._refuse(kind, send, *problem)
            return
        if body.is_gone:
            return
        now = port.now()
        batch = self.checked(kind, body.take(), now)
        try:
            if batch.n:
                await port.spool.append(kind, batch.payload, batch.n, now, batch.heads)
        except Transient as error:
            await self._send(send, self.unwritten(kind, batch, error))
            return
        await self._send(send, self.taken(kind, batch))

    def checked(self, kind: EntryKind, data: bytes, now: float) -> Batch:
        """The good ones of a body, and why the others are none; `now` in seconds since the epoch."""
        port, limits = self.port, self.port.limits
        port.counts.body_bytes += len(data)
        try:
            return _DECODE[kind](data, models=port.models(), now=now, future_s=limits.future_s, max_n=limits.max_batch_n)
        except TooMany as error:
            return Batch(b"", 0, [Rejected(None, "$", None, str(error), Rejection.TOO_LARGE)])

    def taken(self, kind: EntryKind, batch: Batch) -> Answer:
        """What is said, and counted, once the good ones are on disk, or when there are none."""
        self.port.counts.accept(kind, batch.n)
        self.port.counts.refuse_all(kind, batch.errors)
        if batch.n and not batch.errors:
            self.port.counts.requests[_OK] += 1
            return _all_taken(batch.n)
        if batch.n:
            return self._answer(_OK, {"accepted": batch.n, "rejected": batch.errors})
        status = _status(batch.errors)
        return self._answer(status, {"accepted": 0, "errors": batch.errors}, *([CLOSE] if status == _TOO_LARGE else []))

    def unwritten(self, kind: EntryKind, batch: Batch, error: Transient) -> Answer:
        """What is said, and counted, when they could not be written."""
        self.port.counts.refuse(kind, Rejection.OVERLOAD, batch.n)
        return self._busy(error)

    async def _refuse(self, kind: EntryKind, send: Send, status: int, reason: Rejection, rule: str) -> None:
        """A whole request, unread: the connection ends with it."""
        self.port.counts.refuse(kind, reason)
        if status == _BUSY:
            await self._send(send, self._busy(Transient(Reason.UNAVAILABLE, rule, retry_after_s=1.0)))
            return
        await self._send(send, self._answer(status, {"accepted": 0, "errors": [Rejected(None, "$", None, rule, reason)]}, CLOSE))

    def _busy(self, error: Transient, reason: Rejection = Rejection.OVERLOAD) -> Answer:
        retry = (b"retry-after", str(max(1, round(error.retry_after_s or 1.0))).encode())
        told = {"accepted": 0, "errors": [Rejected(None, "$", None, f"{error.detail}: send it again", reason)]}
        return self._answer(_BUSY, told, retry)

    def _answer(self, status: int, told: object, *headers: tuple[bytes, bytes]) -> Answer:
        self.port.counts.requests[status] += 1
        return _encoded(status, told, *headers)

    @staticmethod
    async def _send(send: Send, answer: Answer) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


class _Body:
    """A body being received, counted against what all of them may hold."""

    def __init__(self, ingest: Ingest) -> None:
        self.ingest = ingest
        self.chunks: list[bytes] = []
        self.size = 0
        self.is_gone = False
        """The client went away before it had sent everything."""

    async def read(self, receive: Receive, limits: Limits) -> tuple[int, Rejection, str] | None:
        """Receive all of it; returns what is wrong with it."""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.is_gone = True
                return None
            chunk = message.get("body", b"")
            self.size += len(chunk)
            self.ingest.held_bytes += len(chunk)
            if self.size > limits.max_body_bytes:
                return _TOO_LARGE, Rejection.TOO_LARGE, _too_large(limits)
            if self.ingest.held_bytes > limits.max_held_bytes:
                return _BUSY, Rejection.OVERLOAD, "more requests at once than fit into memory"
            self.chunks.append(chunk)
            more = message.get("more_body", False)
        return None

    def take(self) -> bytes:
        """All of it; this object keeps nothing but the count."""
        chunks, self.chunks = self.chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def free(self) -> None:
        """The request is over."""
        self.ingest.held_bytes -= self.size
        self.size = 0


def _header_problem(headers: list[tuple[bytes, bytes]], limits: Limits) -> tuple[int, Rejection, str] | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:18]) > limits.max_body_bytes:
            return _TOO_LARGE, Rejection.TOO_LARGE, _too_large(limits)
        if name == b"content-type" and value.partition(b";")[0].strip().lower() not in CONTENT_TYPES:
            return (
                _MEDIA,
                Rejection.BAD_REQUEST,
                "Content-Type is application/json or application/x-ndjson (curl: -H 'Content-Type: application/json')",
            )
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            return _MEDIA, Rejection.BAD_REQUEST, "Content-Encoding is not read: send the body as it is"
    return None


def _too_large(limits: Limits) -> str:
    return f"a body may hold {limits.max_body_bytes} bytes: send it in several"


def _encoded(status: int, told: object, *headers: tuple[bytes, bytes]) -> Answer:
    data = msgspec.json.encode(told)
    return Answer(status, [_JSON, (b"content-length", str(len(data)).encode()), *headers], data)


@lru_cache
def _all_taken(n: int) -> Answer:
    return _encoded(_OK, {"accepted": n, "rejected": []})


def _status(errors: list[Rejected]) -> int:
    reasons = {error.reason for error in errors}
    if reasons == {Rejection.UNKNOWN_MODEL}:
        return _NOT_FOUND
    if reasons == {Rejection.TOO_LARGE}:
        return _TOO_LARGE
    return _BAD if reasons == {Rejection.MALFORMED} else _UNPROCESSABLE
