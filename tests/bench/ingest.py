"""Records a second through HTTP into the spool, beside a plain FastAPI + pydantic endpoint that checks the same and writes nothing.

Every server is a real uvicorn process; it, its children and the one client process share the machine's cores. Theirs counts as done when
it has answered. Ours counts three times: when it has answered (synced to disk), when all was read back and summarised (sketches of 20
columns), and when all was stored as well (Parquet, by the service's own builder in its own process). Rounds alternate.
Run as a program it is one of the processes: `python -m tests.bench.ingest serve WHICH FOLDER`, `… ask PORT SHAPE SECONDS WHICH`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil

_SECONDS = 4.0
_ROUNDS = 5
_SHAPES = {"batches of 1,000": (4, 1000), "singles": (64, 1)}
"""Name -> (connections, records a request)."""
_TARGETS = {"batches of 1,000": 4.0, "singles": 2.5}
_NUMERIC = [f"x{i}" for i in range(16)]
_MODEL = "bench"
Begin = Callable[[Any], Callable[[], bytes]]
"""Rows -> what waits for their summary."""
_PANE_N, _PANE_S = 20_000, 1.0
"""Records, or seconds of them, summarised together."""


def run() -> dict[str, Any]:
    """A row for each shape: records a second of both, and the ratio."""
    rows = []
    for shape, target in _TARGETS.items():
        taken: dict[str, list[tuple[float, float, float]]] = {"sketched": [], "stored": [], "plain": []}
        for _ in range(_ROUNDS):
            for which, rounds in taken.items():
                rounds.append(_round(which, shape))
        rows.append({"requests": shape, **_row(*(np.array(rounds) for rounds in taken.values())), "target, sketches": f">= {target}x"})
    says = (
        f"Records of {len(_record(0))} bytes with 20 columns; medians of {_ROUNDS} rounds of {_SECONDS:.0f} s, and the ratios of "
        "all rounds but the best and the worst; panes of a second, or of 20,000 records where these come sooner; servers and client share "
        f"the cores (load average {os.getloadavg()[0]:.0f} at the end: above 3, others worked here and the CPU seconds say more). "
        "Ours: checked, synced to disk, read back, 20 columns summarised. The other: checked, nothing kept."
    )
    return {"rows": rows, "says": says}


def _row(sketched: Any, stored: Any, plain: Any) -> dict[str, str]:
    """Medians of the rounds, each an array (rounds, 3); a ratio is of one round, whose three servers ran one after the other."""

    def told(ours: Any, column: int) -> str:
        ratios = np.sort(ours[:, column] / plain[:, 0])
        return f"{np.median(ours[:, column]):,.0f} ({np.median(ratios):.1f}x; {ratios[1]:.1f} to {ratios[-2]:.1f})"

    return {
        "FastAPI + pydantic, records/s": f"{np.median(plain[:, 0]):,.0f}",
        "ours on disk": told(sketched, 0),
        "with sketches": told(sketched, 1),
        "with sketches and Parquet": told(stored, 1),
        "a CPU second, sketches": f"{np.median(sketched[:, 2] / plain[:, 2]):.1f}x",
        "a CPU second, Parquet": f"{np.median(stored[:, 2] / plain[:, 2]):.1f}x",
    }


def _round(which: str, shape: str) -> tuple[float, float, float]:
    """(records acknowledged a second, summarised a second, summarised a CPU second of the server)."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, _child("serve", which, folder) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        asked = [sys.executable, "-m", "tests.bench.ingest", "ask", str(port), shape]
        subprocess.run([*asked, "0.5", which], check=True, stdout=subprocess.DEVNULL, timeout=60)  # warm
        _drained(server, 0.0)
        usage = psutil.Process(server.pid)
        cpu = _cpu_s(usage)
        said = subprocess.run([*asked, str(_SECONDS), which], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.split()
        n, begun = int(said[0]), float(said[1])  # one clock for all processes
        behind_s = max(0.0, _drained(server, begun) - _SECONDS) if which != "plain" else 0.0
        return n / _SECONDS, n / (_SECONDS + behind_s), n / (_cpu_s(usage) - cpu)


def _drained(server: subprocess.Popen[str], begun: float) -> float:
    """Ask the server to say when all that it acknowledged has been summarised; seconds since `begun`."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("drain\n")
    server.stdin.flush()
    server.stdout.readline()
    return time.perf_counter() - begun


def _cpu_s(process: psutil.Process) -> float:
    all_times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(times.user + times.system for times in all_times))


@contextmanager
def _child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bench.ingest", *arguments]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # as `retuned serve` has it: a second thread would spin on the other core
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _record(i: int) -> bytes:
    numbers = {name: round((i * 37 + k * 11) % 1000 / 7, 3) for k, name in enumerate(_NUMERIC)}
    return json.dumps(
        {
            "id": f"record-{i:012d}",
            "model": _MODEL,
            "version": "3",
            "at": "2026-11-01T12:00:00.250000Z",
            "inputs": {**numbers, "channel": ("web", "shop", "phone")[i % 3], "country": ("de", "fr", "it", "es")[i % 4]},
            "output": {"label": ("yes", "no")[i % 2], "scores": {"yes": 0.75, "no": 0.25}},
            "segments": {"age_band": ("18-30", "30-50", "50+")[i % 3]},
        }
    ).encode()


# -- the client process


class _Asker(asyncio.Protocol):
    """One connection, one request after the other, until the deadline."""

    def __init__(self, requests: list[bytes], deadline: float, done: asyncio.Future[int]) -> None:
        self.requests, self.deadline, self.done = requests, deadline, done
        self.n = 0
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.requests[0])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]):
            return
        assert b" 200 " in head[:20], self.buffer
        self.n += 1
        self.buffer = b""
        if time.perf_counter() < self.deadline:
            self.transport.write(self.requests[self.n % len(self.requests)])
        elif not self.done.done():
            self.transport.close()
            self.done.set_result(self.n)


async def _ask(port: int, shape: str, seconds: float, *, as_array: bool) -> tuple[int, float]:
    """(records answered, when it began)."""
    connections, size = _SHAPES[shape]
    requests = []
    for k in range(256 if size == 1 else 4):
        lines = [_record(k * size + i) for i in range(size)]
        body = b"[" + b",".join(lines) + b"]" if as_array and size > 1 else b"\n".join(lines)
        head = f"POST /v1/records HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        requests.append(head.encode() + body)
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    deadline = begun + seconds
    dones = [loop.create_future() for _ in range(connections)]
    for k, done in enumerate(dones):
        mine = requests[k % len(requests) :] + requests[: k % len(requests)]
        await loop.create_connection(lambda m=mine, d=done: _Asker(m, deadline, d), "127.0.0.1", port)  # type: ignore[misc] (a lambda's defaults)
    return sum(await asyncio.gather(*dones)) * size, begun


# -- the server processes


def _ours(which: str, folder: Path) -> Any:
    from daemon.capture.http import Ingest, IngestPort
    from daemon.capture.spool import Spool

    spool = Spool(folder)
    read = _Intake(spool, _builder(folder, *(("tests.bench.ingest", "sketch") if which == "sketched" else ())))
    threading.Thread(target=read.follow, daemon=True).start()
    threading.Thread(target=read.tell, daemon=True).start()
    read.is_warm.wait()
    return Ingest(IngestPort(spool=spool, models=lambda: {_MODEL}, now=time.time))


def _settings() -> Any:
    from daemon.settings import ModelSettings

    columns = {**dict.fromkeys(_NUMERIC, "numeric"), **dict.fromkeys(["channel", "country", "age_band"], "category")}
    return ModelSettings.model_validate({"name": _MODEL, "task": "text-classification", "labels": ["no", "yes"], "columns": columns})


def _sketch(pipe: str, *parcels: str) -> None:
    """The process beside it: as the service's builder, without the file."""
    from daemon.store.builder import answer
    from daemon.store.building import Building, Built
    from daemon.store.parcel import Parcel
    from detectors.sketches.summary import summarise, summary_to_bytes

    class Sketching(Building):
        def build(self, rows: Any, path: Path) -> Built:  # noqa: ARG002 (no file)
            frame = self._reader.frame(rows.lines)
            return Built(columns={}, wrong={}, summary=summary_to_bytes(summarise(frame.watched, self._kinds)))

    answer(Connection(int(pipe)), [Parcel(int(parcel)) for parcel in parcels], Sketching)


def _builder(folder: Path, *program: str) -> Begin:
    """Rows of a pane to sketches in a process of its own: the service's, which writes Parquet too, or another one."""
    from daemon.store.builder import Builder

    builder = Builder([_settings()], folder, *([program] if program else []))

    def begin(rows: Any) -> Callable[[], bytes]:
        built = builder.begin(_MODEL, rows, "pane.parquet")
        return lambda: built.result().summary

    return begin


class _Intake:
    """What stands behind the spool: read, parse, summarise a pane, merge it into the window."""

    def __init__(self, spool: Any, begin: Begin) -> None:
        from daemon.capture.frames import START

        self.spool, self.begin, self.mark = spool, begin, START
        self.is_warm, self.is_wanted = threading.Event(), threading.Event()

    def follow(self) -> None:
        """Read five times a second, without a break while a pane is full at once; one pane is summarised while the next one is read."""
        from daemon.store.spooled import records_of, rows_of
        from detectors.sketches.summary import merge_summaries, summary_from_bytes

        window: Any = {}
        mark, due = self.mark, 0.0
        begun: deque[tuple[Any, Callable[[], bytes]]] = deque()
        waiting = records_of(b"\n".join(map(_record, range(_PANE_N))))  # warms all there is
        while True:
            for entry in self.spool.read(mark):
                waiting += records_of(entry.payload, entry.heads)
                mark = entry.mark
                if len(waiting) >= _PANE_N:
                    break
            is_full = len(waiting) >= _PANE_N
            if is_full or (waiting and (self.is_wanted.is_set() or time.perf_counter() >= due)):
                begun.append((mark, self.begin(rows_of(waiting))))
                waiting, due = [], time.perf_counter() + _PANE_S
            if len(begun) > 1 or (begun and not is_full):
                self.mark, summary = begun.popleft()
                window = merge_summaries(window, summary_from_bytes(summary()))
                self.spool.release(self.mark)
                self.is_warm.set()
            elif not is_full:
                self.is_wanted.wait(0.2)  # a tick

    def tell(self) -> None:
        for _ in sys.stdin:
            self.is_wanted.set()
            while self.spool.lag_bytes(self.mark):
                time.sleep(0.02)
            self.is_wanted.clear()
            print("drained", flush=True)


def _plain() -> Any:
    from datetime import datetime

    from fastapi import FastAPI
    from pydantic import AwareDatetime, BaseModel, Field

    class Output(BaseModel):
        label: Annotated[str, Field(min_length=1, max_length=256)] | None = None
        scores: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
        text: Annotated[str, Field(max_length=65536)] | None = None
        value: float | None = None

    class Record(BaseModel):
        id: Annotated[str, Field(min_length=1, max_length=256)]
        model: Annotated[str, Field(min_length=1, max_length=64)]
        version: Annotated[str, Field(min_length=1, max_length=64)]
        at: AwareDatetime
        inputs: dict[str, str | int | float | bool | None] = {}
        output: Output
        segments: dict[str, str | int | float | bool | None] = {}

    app = FastAPI()

    async def records(body: Any) -> dict[str, int]:
        items = body if isinstance(body, list) else [body]
        assert isinstance(items[0].at, datetime)
        return {"accepted": len(items)}

    records.__annotations__["body"] = list[Record] | Record  # the classes are local to this process
    app.post("/v1/records")(records)
    threading.Thread(target=_tell_at_once, daemon=True).start()
    return app


def _tell_at_once() -> None:
    for _ in sys.stdin:
        print("drained", flush=True)


def _serve(which: str, folder: Path) -> None:
    import uvicorn

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        app = _plain() if which == "plain" else _ours(which, folder)
        print(listening.getsockname()[1], flush=True)
        given: dict[str, Any] = {"lifespan": "off", "log_level": "warning", "access_log": False, "proxy_headers": False}
        if which != "plain":
            from daemon.capture.small import small_requests

            given["http"] = small_requests(app)
        uvicorn.Server(uvicorn.Config(app, **given)).run([listening])


def _main(role: str, *arguments: str) -> None:
    if role == "sketch":
        _sketch(*arguments)
    elif role == "serve":
        _serve(arguments[0], Path(arguments[1]))
    elif role == "ask":
        import uvloop

        port, shape, seconds, which = arguments
        print(*uvloop.run(_ask(int(port), shape, float(seconds), as_array=which == "plain")))


if __name__ == "__main__":
    _main(*sys.argv[1:])
