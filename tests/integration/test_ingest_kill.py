"""A real server process, killed without warning: what it acknowledged is in the spool, what is in the spool was sent.

Run as a program it is that server: `python test_ingest_kill.py FOLDER` prints its port.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from daemon.capture.http import Ingest, IngestPort
from daemon.capture.small import small_requests
from daemon.capture.spool import Spool
from daemon.store.spooled import records_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SEGMENT_BYTES = 256 * 1024
KILLS = 20
CLIENTS = 8


def serve(folder: Path) -> None:
    import uvicorn

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # as the service does; stdout is for the port alone
    with Spool(folder, segment_bytes=SEGMENT_BYTES) as spool, socket.create_server(("127.0.0.1", 0)) as listening:
        ingest = Ingest(IngestPort(spool=spool, models=lambda: {"m"}, now=time.time))
        config = uvicorn.Config(ingest, http=small_requests(ingest), lifespan="off", log_level="critical", access_log=False)
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(config).run([listening])


@contextmanager
def server(folder: Path, *before: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port; killed at the end with the group that it leads."""
    command = [*before, sys.executable, __file__, str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.strip().isdigit(), f"the server did not start: {line!r}"
        yield process, int(line)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def body_of(ids: list[str], padding: int) -> bytes:
    lines = [
        {"id": i, "model": "m", "version": "1", "at": "2026-01-01T00:00:00Z", "inputs": {"text": "x" * padding}, "output": {"label": "a"}}
        for i in ids
    ]
    return "\n".join(map(json.dumps, lines)).encode()


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bytes:
    """The answer's status line and headers; raises OSError or IncompleteReadError when the server dies."""
    head = f"POST /v1/records HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", answer)[1])  # type: ignore[index] (no length: a failure, as it should be)
    await reader.readexactly(length)
    return answer


class Journal:
    """What the clients know."""

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.enough = 0
        self.has_enough = asyncio.Event()

    def acknowledge(self, ids: list[str]) -> None:
        self.acknowledged.update(ids)
        if len(self.acknowledged) > self.enough:
            self.has_enough.set()


async def client(port: int, name: str, journal: Journal, rng: random.Random) -> None:
    """Sends singles and batches until the server is gone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    k = 0
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            ids = [f"{name}-{k + j}" for j in range(rng.choice([1, 1, 1, 40]))]
            k += len(ids)
            journal.sent.update(ids)
            answer = await post(reader, writer, body_of(ids, rng.choice([10, 2000])))
            assert answer.startswith(b"HTTP/1.1 200")
            journal.acknowledge(ids)
    writer.close()


async def ingest_until_killed(process: subprocess.Popen[str], port: int, round_: int, journal: Journal, rng: random.Random) -> None:
    journal.enough, journal.has_enough = len(journal.acknowledged) + rng.randrange(400), asyncio.Event()
    clients = [asyncio.create_task(client(port, f"{round_}.{c}", journal, random.Random(f"{round_}.{c}"))) for c in range(CLIENTS)]
    try:
        await asyncio.wait_for(journal.has_enough.wait(), 30)
    finally:
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(*clients)


def test_killed_at_twenty_random_moments_the_journal_of_acknowledgements_equals_the_spool_both_ways(tmp_path: Path) -> None:
    journal, rng = Journal(), random.Random(20)
    for round_ in range(KILLS):
        with server(tmp_path) as (process, port):
            asyncio.run(ingest_until_killed(process, port, round_, journal, rng))
    with Spool(tmp_path, segment_bytes=SEGMENT_BYTES) as spool:
        stored = Counter(record.id for entry in spool.read() for record in records_of(entry.payload, entry.heads))
        assert spool.damaged_bytes == 0
    assert len(list(tmp_path.glob("*.spool"))) > 3
    assert journal.acknowledged - stored.keys() == set(), "acknowledged and lost"
    assert stored.keys() - journal.sent == set(), "stored and never sent"
    assert set(stored.values()) == {1}
    in_flight = journal.sent - journal.acknowledged
    assert len(in_flight) > KILLS  # the kills did interrupt something


@pytest.mark.skipif(shutil.which("strace") is None and os.environ.get("CI") != "true", reason="strace is not installed")
def test_the_answer_is_written_only_after_the_sync_has_returned(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    n = 5

    async def one_by_one(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in range(n):
            assert (await post(reader, writer, body_of([str(i)], 10))).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()

    strace = ("strace", "-f", "-qq", "-s", "32", "-o", str(trace), "-e", "trace=fdatasync,write,writev,sendto,sendmsg")
    with server(tmp_path / "spool", *strace) as (_, port):
        asyncio.run(one_by_one(port))
    synced = answered = 0
    for line in trace.read_text().splitlines():
        if re.search(r"fdatasync(\(\d+\)| resumed>\)) += 0", line):
            synced += 1
        elif '"HTTP/1.1 200' in line:
            answered += 1
            assert synced >= answered, f"answer {answered} was written before its sync had returned: {line}"
    assert answered == n
    assert synced == n


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
