"""The whole intake as the service does it: HTTP, spool, de-duplication by key, panes of sketches and Parquet, every default detector.

The real service in a process of its own takes batches of 1,000 new records for some seconds; it is done when the ledger has all of them.
Beside it the plain FastAPI + pydantic endpoint of `ingest`, which checks the same and keeps nothing, and the same service that remembers
no keys (it would count a repeated record twice): what keys cost. Run as a program it is one of the processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from tests import postgresql
from tests.bench.ingest import _child, _cpu_s

_SECONDS = float(os.environ.get("BENCH_INTAKE_S", "2.5"))
_ROUNDS = int(os.environ.get("BENCH_INTAKE_ROUNDS", "5"))
_CONNECTIONS, _BATCH_N, _BODIES = 4, 1000, 8
_OLD_N, _RUN_N = 10_000_000, 1_000_000
_NUMERIC = [f"x{i}" for i in range(16)]
_NUMBER, _AT = b"00000000", b"2026-11-01T12:00:00.250000Z"
"""In the templates: of the request, so that every record is a new one, and when it was recorded."""
_CONFIG = """
data_dir: {folder}/data
http: {{port: 0}}
tick_s: 0.5
{ledger}
models:
  - name: bench
    task: text-classification
    labels: ["no", "yes"]
    columns: {{{columns}}}
    reference: {{kind: file, path: {folder}/reference.ndjson}}
    monitors: {{pane_s: 1, watermark_s: 1}}
"""
_WITHOUT, _NEW, _OLD, _ON_POSTGRESQL = "service, no keys", "service", "service, 10 million keys", "service on PostgreSQL"


@dataclass
class _Taken:
    """Of one kind of server, a value a round."""

    per_s: list[float] = field(default_factory=list)
    per_cpu_s: list[float] = field(default_factory=list)


def run() -> dict[str, Any]:
    """A row for each kind of server: records a second, and the ratios to the plain endpoint and to the service without keys."""
    taken: dict[str, _Taken] = {name: _Taken() for name in ("FastAPI + pydantic", _WITHOUT, _NEW, _OLD)}
    alarms = 0
    with ExitStack() as stack:
        bin_ = postgresql.installed()
        server = stack.enter_context(postgresql.running(bin_)) if bin_ is not None else None
        if server is not None:
            taken[_ON_POSTGRESQL] = _Taken()
        old = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd()))) / "ledger.db"
        _fill(old)
        for _ in range(_ROUNDS):
            for name, found in taken.items():
                if name == "FastAPI + pydantic":
                    per_s, per_cpu_s = _plain()
                else:
                    url = server.new_database() if server is not None and name == _ON_POSTGRESQL else None
                    per_s, per_cpu_s, incidents_n = _service(name, url, old if name == _OLD else None)
                    alarms += incidents_n
                found.per_s.append(per_s)
                found.per_cpu_s.append(per_cpu_s)
    plain, without = taken["FastAPI + pydantic"], taken[_WITHOUT]
    rows = [
        {
            "taken in by": name,
            "records/s": f"{np.median(found.per_s):,.0f} ({min(found.per_s):,.0f} to {max(found.per_s):,.0f})",
            "beside the plain endpoint": _ratio(found.per_s, plain.per_s),
            "beside no keys": _ratio(found.per_s, without.per_s),
            "CPU µs a record": f"{1e6 / np.median(found.per_cpu_s):.1f}",
            "CPU beside no keys": _ratio(without.per_cpu_s, found.per_cpu_s),
        }
        for name, found in taken.items()
    ]
    says = (
        f"Batches of {_BATCH_N:,} new records of {len(_template(0)) // _BATCH_N} bytes with 19 watched columns; medians of {_ROUNDS} "
        f"rounds of {_SECONDS:g} s, in brackets the lowest and the highest round. The service is done when the ledger has every record: "
        f"HTTP, disk, keys, panes of a second with sketches and Parquet, every default detector ({alarms} incidents were opened), on the "
        f"cores that the client uses too. The plain endpoint keeps nothing. Load average {os.getloadavg()[0]:.0f} at the end: above 3, "
        "others worked here and CPU says more."
    )
    return {"rows": rows, "says": says}


def _ratio(ours: list[float], theirs: list[float]) -> str:
    """Round by round: the servers of one round ran one after the other."""
    ratios = np.array(ours) / np.array(theirs)
    return f"{np.median(ratios):.2f}x ({ratios.min():.2f} to {ratios.max():.2f})"


# -- servers


def _plain() -> tuple[float, float]:
    """(records a second, records a CPU second)."""
    with tempfile.TemporaryDirectory() as folder, _child("serve", "plain", folder) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        _asked(port, 0.5, 0, as_array=True)  # warm
        usage = psutil.Process(server.pid)
        cpu = _cpu_s(usage)
        n, begun = _asked(port, _SECONDS / 3, 1, as_array=True)
        return n / (time.perf_counter() - begun), n / (_cpu_s(usage) - cpu)


def _service(name: str, url: str | None, old: Path | None) -> tuple[float, float, int]:
    """(records a second, records a CPU second, incidents)."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, _started(Path(folder), name, url, old) as (process, port):
        known = _asked(port, 0.5, 0)[0]  # warm
        _stored(port, known)
        usage = psutil.Process(process.pid)
        cpu = _cpu_s(usage)
        n, begun = _asked(port, _SECONDS, 1)
        _stored(port, known + n)
        taken_s, cpu_s = time.perf_counter() - begun, _cpu_s(usage) - cpu
        model = httpx.get(f"http://127.0.0.1:{port}/v1/models/bench", timeout=30).json()
    return n / taken_s, n / cpu_s, len(model["incidents"])


@contextmanager
def _started(folder: Path, name: str, url: str | None, old: Path | None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    (folder / "data").mkdir()
    if old is not None:
        shutil.copy(old, folder / "data" / "ledger.db")
    (folder / "reference.ndjson").write_bytes(b"\n".join(map(_template, range(_BODIES))))
    columns = ", ".join([*(f"{x}: numeric" for x in _NUMERIC), "channel: category", "country: category", "age_band: category"])
    ledger = f'ledger: "{url}"' if url is not None else ""
    (folder / "c.yaml").write_text(_CONFIG.format(folder=folder, columns=columns, ledger=ledger))
    command = [sys.executable, "-m", "tests.bench.intake", "serve", str(folder / "c.yaml"), str(name == _WITHOUT)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    try:
        yield process, _ready(process, folder)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _ready(process: subprocess.Popen[bytes], folder: Path) -> int:
    where, deadline = folder / "data" / "service.json", time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if where.exists():
            url = str(json.loads(where.read_text())["url"])
            if httpx.get(f"{url}/readyz", timeout=30).status_code == 200:
                return int(url.rsplit(":", 1)[1])
        time.sleep(0.05)
    raise RuntimeError((folder / "log").read_text()[-2000:])


def _stored(port: int, n: int) -> None:
    """Wait until the ledger has so many."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        records = httpx.get(f"http://127.0.0.1:{port}/v1/models/bench", timeout=30).json()["counters"].get("records", {})
        assert set(records) <= {"stored"}, records
        if records.get("stored", 0) >= n:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{n} records were not stored")


def _fill(path: Path) -> None:
    """A ledger that remembers ten million records of earlier, in runs as merging leaves them."""
    from daemon.store.key_blocks import PLACE, Entries
    from daemon.store.key_runs import FULL, _written
    from daemon.store.ledger import Ledger

    rng, now = np.random.default_rng(0), time.time()
    ledger = Ledger(f"sqlite:///{path}")
    ledger.migrate()
    for i in range(_OLD_N // _RUN_N):
        keys = rng.integers(0, 2**64, (_RUN_N, 2), np.uint64)
        entries = Entries(keys[np.argsort(keys[:, 0])], np.zeros(_RUN_N, PLACE))
        with ledger.begin() as tx:
            _written(tx, "bench", entries, level=FULL, since=now - 86_400.0 * (i + 2), until=now - 86_400.0 * (i + 1))
    ledger.close()


def _serve(config: Path, *, has_no_keys: bool) -> None:
    from daemon.check.read import load_settings
    from daemon.service import run as serve
    from daemon.store.key_runs import KeyRuns

    if has_no_keys:
        for name in ("sync", "add", "settle"):
            setattr(KeyRuns, name, lambda *_, **__: None)
        setattr(KeyRuns, "recorded", lambda *_: {})  # noqa: B010 (mypy minds assigning to a method)
    serve(load_settings(config))


# -- the client process


def _template(body: int) -> bytes:
    rng = np.random.default_rng(body)
    numbers = rng.normal(50.0, 10.0, (_BATCH_N, len(_NUMERIC))).round(3)
    picks = rng.integers(0, 12, _BATCH_N)
    return b"\n".join(_record(f"{body}{i:04d}", row, int(pick)) for i, (row, pick) in enumerate(zip(numbers.tolist(), picks, strict=True)))


def _record(own: str, numbers: list[float], pick: int) -> bytes:
    return json.dumps(
        {
            "id": f"rec-{_NUMBER.decode()}-{own}",
            "model": "bench",
            "version": "3",
            "at": _AT.decode(),
            "inputs": {
                **dict(zip(_NUMERIC, numbers, strict=True)),
                "channel": ("web", "shop", "phone")[pick % 3],
                "country": ("de", "fr", "it", "es")[pick % 4],
                "request": _NUMBER.decode(),
            },
            "output": {"label": ("yes", "no")[pick % 2], "scores": {"yes": 0.75, "no": 0.25}},
            "segments": {"age_band": ("18-30", "30-50", "50+")[pick % 3]},
        }
    ).encode()


def _asked(port: int, seconds: float, first: int, *, as_array: bool = False) -> tuple[int, float]:
    """(records answered, when it began)."""
    command = [sys.executable, "-m", "tests.bench.intake", "ask", str(port), str(seconds), str(first), str(as_array)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 60).stdout.split()
    return int(said[0]), float(said[1])


async def _ask(port: int, seconds: float, first: int, *, as_array: bool) -> tuple[int, float]:
    templates = [_template(body) for body in range(_BODIES)]
    if as_array:
        templates = [b"[" + lines.replace(b"\n", b",") + b"]" for lines in templates]
    numbers = count(first * 10_000_000)
    begun = time.perf_counter()

    def request() -> bytes:
        number = next(numbers)
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        body = templates[number % _BODIES].replace(_NUMBER, b"%08d" % number).replace(_AT, at)
        return b"POST /v1/records HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    n = await asyncio.gather(*(_connection(port, request, begun + seconds) for _ in range(_CONNECTIONS)))
    return sum(n) * _BATCH_N, begun


async def _connection(port: int, request: Callable[[], bytes], deadline: float) -> int:
    """One request after the other until the deadline; requests answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    n = 0
    while time.perf_counter() < deadline:
        writer.write(request())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        answer = await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
        assert b" 200 " in head[:20], answer
        n += 1
    writer.close()
    return n


def _main(role: str, *arguments: str) -> None:
    if role == "serve":
        _serve(Path(arguments[0]), has_no_keys=arguments[1] == "True")
    elif role == "ask":
        import uvloop

        port, seconds, first, as_array = arguments
        print(*uvloop.run(_ask(int(port), float(seconds), int(first), as_array=as_array == "True")))


if __name__ == "__main__":
    _main(*sys.argv[1:])
