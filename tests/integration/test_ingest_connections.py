"""Clients that hold connections without using them: each has an end, and all of them leave the service its files."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from typing import TYPE_CHECKING, Any

import pytest

from daemon.capture import connections
from daemon.capture.http import Ingest, IngestPort
from daemon.capture.small import small_requests
from daemon.capture.spool import Spool
from tests.integration.test_ingest_small import NOW, RECORD, SAID, answers, asked, served, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    with Spool(tmp_path) as spool:
        yield Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=lambda: NOW))


async def rest(port: int, sent: bytes) -> bytes:
    """All that comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def test_headers_without_end_are_refused_before_they_fill_the_memory(ingest: Ingest) -> None:
    async def sent_n() -> int:
        async with served(ingest, small_requests(ingest)) as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/records HTTP/1.1\r\nX: ")
            for n in range(2_000):
                try:
                    writer.write(b"a" * 10_000)
                    await writer.drain()
                except ConnectionError:
                    assert (await answers(port, SAID["one"]))[0][0].startswith(b"HTTP/1.1 200")
                    return n * 10_000
            return 20_000_000

    assert asyncio.run(sent_n()) < 20_000_000


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/rec",
        asked(RECORD, size=500),
        asked(b"x", size=100_000),
        asked(b"a0\r\n", Content_Length="", Transfer_Encoding="chunked"),
    ],
    ids=["nothing", "half a head", "half a small body", "half a large body", "half a chunk"],
)
def test_a_client_that_says_no_more_is_not_waited_for(ingest: Ingest, sent: bytes) -> None:
    async def once() -> bytes:
        async with served(ingest, small_requests(ingest, stall_s=0.2)) as (port, _):
            return await rest(port, sent)

    assert asyncio.run(once()) == b""
    assert ingest.held_bytes == 0


def test_who_waits_for_us_is_answered_however_long_it_takes(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (time.sleep(1.0), sync(fd))[1])

    async def once() -> bytes:
        async with served(ingest, small_requests(ingest, stall_s=0.2)) as (port, _):
            return await rest(port, SAID["one"])

    assert asyncio.run(once()).startswith(b"HTTP/1.1 200")


def test_a_client_that_does_not_read_its_answer_is_not_waited_for(ingest: Ingest) -> None:
    async def much(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 (ASGI's signature)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 50_000_000})

    async def once() -> None:
        async with served(much, small_requests(ingest, stall_s=0.2)) as (port, server):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n")
            await until(lambda: server.server_state.connections)
            await until(lambda: not server.server_state.connections)
            writer.transport.abort()

    asyncio.run(once())


def test_more_connections_than_fit_are_closed_and_the_others_go_on(ingest: Ingest) -> None:
    async def once() -> list[bytes]:
        async with served(ingest, small_requests(ingest, most_n=3)) as (port, server):
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            await until(lambda: len(server.server_state.connections) == 3)
            found = [await rest(port, SAID["one"])]
            held[0][1].close()
            await until(lambda: len(server.server_state.connections) == 2)
            found.append((await answers(port, SAID["one"]))[0][0])
            for _, writer in held:
                writer.close()
            return found

    refused, taken = asyncio.run(once())
    assert refused == b""
    assert taken.startswith(b"HTTP/1.1 200")


def test_connections_leave_files_to_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for = list[tuple[int, int]]()
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: asked_for.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1024, 4096))
    assert connections.most_connections() == 4096 - 256
    assert asked_for == [(4096, 4096)]
