"""Small requests past ASGI: whatever a client sends, it gets the very answer that it would get through ASGI, and the same is counted."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from daemon.capture.frames import EntryKind
from daemon.capture.http import Ingest, IngestPort, Limits
from daemon.capture.rejection import Rejection
from daemon.capture.small import small_requests
from daemon.capture.spool import Spool
from retrain.types import Reason, Transient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOW = 1_793_491_200.0  # 2026-11-01T00:00:00Z
RECORD = {"id": "r1", "model": "m", "version": "1", "at": "2026-11-01T00:00:00Z", "inputs": {"text": "hi"}, "output": {"label": "a"}}
LABEL = {"id": "r1", "model": "m", "at": "2026-11-01T00:00:00Z", "label": "a"}
LINES = b"\n".join(json.dumps({**RECORD, "id": f"r{i}"}).encode() for i in range(5))


def asked(body: Any, path: str = "/v1/records", method: str = "POST", version: str = "1.1", size: int | None = None, **given: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Host": "t", "Content-Type": "application/json", "Content-Length": str(len(content) if size is None else size)}
    headers |= {name.replace("_", "-"): value for name, value in given.items()}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


SAID = {
    "one": asked(RECORD),
    "a label": asked(LABEL, "/v1/labels"),
    "several lines": asked(LINES),
    "one of them bad": asked(LINES + b"\n{}"),
    "no JSON": asked(b"{"),
    "nothing": asked(b""),
    "another model": asked({**RECORD, "model": "x"}),
    "a wrong type": asked({**RECORD, "id": 7}),
    "more records than may be": asked(b"\n".join([LINES] * 11)),
    "more bytes than may be": asked(b" " * 30_001),
    "more bytes than is small": asked(b" " * 70_000),
    "no length": asked(b"", Content_Length=""),
    "in chunks": asked(b"5\r\n[1,2]\r\n0\r\n\r\n", Content_Length="", Transfer_Encoding="chunked"),
    "packed": asked(RECORD, Content_Encoding="gzip"),
    "as text": asked(RECORD, Content_Type="text/plain"),
    "as NDJSON": asked(RECORD, Content_Type="application/x-ndjson; charset=utf-8"),
    "kept alive": asked(RECORD, Connection="keep-alive"),
    "the last one": asked(RECORD, Connection="close"),
    "of an old client": asked(RECORD, version="1.0"),
    "another method": asked(b"", method="GET"),
    "another route": asked(RECORD, "/v1/other"),
    "with a query": asked(RECORD, "/v1/records?a=1"),
    "no HTTP": b"nonsense\r\n\r\n",
    "two at once": asked(RECORD) + asked({**RECORD, "id": "r2"}),
    "three at once, one bad": asked(RECORD) + asked(b"{") + asked(LABEL, "/v1/labels"),
}


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(5000):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise TimeoutError


@asynccontextmanager
async def served(app: Any, protocol: Any) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", log_level="critical", access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        try:
            yield listening.getsockname()[1], server
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 30)


async def answers(port: int, said: bytes, *, step: int | None = None) -> list[tuple[bytes, bytes]]:
    """(status and headers without the date, body) of each answer until nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for i in range(0, len(said), step or len(said)):
        writer.write(said[i : i + (step or len(said))])
        await writer.drain()
        if step:
            await asyncio.sleep(0.001)
    found = []
    try:
        for _ in range(max(1, said.count(b"HTTP/1."))):
            head = re.sub(rb"date: [^\r]+\r\n", b"", await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10))
            found.append((head, await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))))  # type: ignore[index]
        if b"connection: close" in found[-1][0]:
            found.append((b"end", await asyncio.wait_for(reader.read(), 10)))
    finally:
        writer.close()
    return found


def told(folder: Path, said: dict[str, bytes], *, is_small: bool, step: int | None = None) -> dict[str, tuple[Any, ...]]:
    """All that can be seen of what was done with each, one after the other."""
    limits = Limits(max_body_bytes=30_000, max_batch_n=50)
    with Spool(folder) as spool:
        ingest = Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW, limits=limits))
        counts = ingest.port.counts

        async def all_of_them() -> dict[str, tuple[Any, ...]]:
            found = {}
            async with served(ingest, small_requests(ingest) if is_small else "httptools") as (port, _):
                for name, each in said.items():
                    got = await answers(port, each, step=step)
                    entries = [(e.kind, e.payload, e.n, e.received_at) for e in spool.read()]
                    counted = (dict(counts.accepted), dict(counts.refused), dict(counts.requests), counts.body_bytes)
                    found[name] = got, entries, counted, ingest.held_bytes
            return found

        return asyncio.run(all_of_them())


def test_the_answers_are_those_that_asgi_gives(tmp_path: Path) -> None:
    usual = told(tmp_path / "usual", SAID, is_small=False)
    small = told(tmp_path / "small", SAID, is_small=True)
    for name in SAID:
        assert small[name] == usual[name], name
        assert small[name][-1] == 0, name


def test_a_body_that_comes_in_pieces_is_one_body(tmp_path: Path) -> None:
    said = {"several lines": SAID["several lines"]}
    assert told(tmp_path / "pieces", said, is_small=True, step=97) == told(tmp_path / "whole", said, is_small=True)


def test_small_ones_do_go_past_asgi(ingest: Ingest) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 (ASGI's signature)
        raise AssertionError("ASGI was asked")

    async def once() -> list[tuple[bytes, bytes]]:
        async with served(never, small_requests(ingest)) as (port, _):
            return await answers(port, SAID["one"])

    assert asyncio.run(once())[0][1] == b'{"accepted":1,"rejected":[]}'


@pytest.fixture
def ingest(tmp_path: Path) -> Any:
    with Spool(tmp_path) as spool:
        yield Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW))


def test_a_disk_that_fails_is_503_and_the_next_one_is_taken(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(28, os.strerror(28))

    async def both() -> list[bytes]:
        async with served(ingest, small_requests(ingest)) as (port, _):
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", fail)
                first = await answers(port, SAID["one"])
            return [first[0][0], (await answers(port, SAID["one"]))[0][0]]

    failed, taken = asyncio.run(both())
    assert failed.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 5" in failed
    assert taken.startswith(b"HTTP/1.1 200")
    assert ingest.port.counts.refused == {(EntryKind.RECORDS, Rejection.OVERLOAD): 1}


def test_what_waits_for_the_disk_at_the_end_is_still_answered_and_the_connection_closed(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (time.sleep(0.3), sync(fd))[1])

    async def ended() -> list[tuple[bytes, bytes]]:
        async with served(ingest, small_requests(ingest)) as (port, server):
            asking = asyncio.create_task(answers(port, SAID["one"]))
            await until(lambda: ingest.port.spool._is_flushing)
            server.should_exit = True
            return await asking

    (head, body), end = asyncio.run(ended())
    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in head
    assert (body, end) == (b'{"accepted":1,"rejected":[]}', (b"end", b""))


@pytest.mark.parametrize("sent", [asked(RECORD, size=500), asked(RECORD)], ids=["in the middle of a body", "before its answer"])
def test_a_client_that_goes_away_leaves_no_held_bytes(ingest: Ingest, sent: bytes) -> None:
    async def gone() -> None:
        async with served(ingest, small_requests(ingest)) as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            await writer.drain()
            writer.transport.abort()
            await until(lambda: not ingest.held_bytes)
            assert (await answers(port, SAID["one"]))[0][0].startswith(b"HTTP/1.1 200")

    asyncio.run(gone())
    assert ingest.held_bytes == 0


def test_a_failure_of_our_own_is_500_and_the_connection_ends(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    async def once() -> list[tuple[bytes, bytes]]:
        async with served(ingest, small_requests(ingest)) as (port, _):
            monkeypatch.setattr(ingest, "checked", fail)
            return await answers(port, SAID["one"])

    (head, _), end = asyncio.run(once())
    assert head.startswith(b"HTTP/1.1 500")
    assert end == (b"end", b"")


def test_a_low_disk_is_told_as_through_asgi(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        full = Transient(Reason.UNAVAILABLE, "the disk is low", retry_after_s=10.0)
        ingest = Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW, refusal=lambda: full))

        async def once(protocol: Any) -> list[tuple[bytes, bytes]]:
            async with served(ingest, protocol) as (port, _):
                return await answers(port, SAID["one"])

        assert asyncio.run(once(small_requests(ingest))) == asyncio.run(once("httptools"))


def test_what_uvicorn_has_is_what_is_relied_on() -> None:
    """Its protocol is no public interface: an upgrade that changes it is to fail here, not in production."""
    relied_on = {"on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "connection_lost", "shutdown"}
    relied_on |= {"connection_made", "data_received", "send_400_response"}
    assert relied_on <= set(vars(HttpToolsProtocol))
