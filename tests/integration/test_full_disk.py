"""A real file system that is really full (tmpfs): nothing acknowledged is lost, nothing is torn, and it goes on by itself."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from daemon.settings_service import DiskSettings
from daemon.store import tables
from daemon.store.disk import Disk
from daemon.store.ledger import Ledger
from tests.docs_blocks import Block
from tests.integration.conftest import Service, running, wait_for
from tests.integration.test_store_intake import Service as InMemory
from tests.integration.test_store_intake import T, record
from tests.small_disk import fill, mounted

if TYPE_CHECKING:
    import httpx

MB = 2**20
CONFIG = """
tick_s: 0.2
disk: {{min_free_bytes: {free}, min_free_ratio: 0.9, min_free_inodes: 0}}
models:
  - name: m
    task: text-classification
    columns: {{text: text}}
    monitors: {{pane_s: 0.5, watermark_s: 0.2, window_s: 60}}
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A data folder with 64 MB and 2,000 inodes; the service's own log lies beside it."""
    with mounted(tmp_path / "data", "size=64m,nr_inodes=2000") as data:
        yield data


class Client:
    """Posts records that do not compress, and keeps a journal of what was acknowledged."""

    def __init__(self, http: httpx.Client) -> None:
        self.http, self.rng, self.n = http, random.Random(1), 0
        self.acknowledged: list[str] = []

    def post(self, n: int = 40, size: int = 5000) -> httpx.Response:
        at = datetime.now(UTC).isoformat()
        names = [f"r{self.n + i}" for i in range(n)]
        self.n += n
        texts = [self.rng.randbytes(size).hex() for _ in names]
        rows = [
            {"id": name, "model": "m", "version": "1", "at": at, "inputs": {"text": text}, "output": {"label": "a"}}
            for name, text in zip(names, texts, strict=True)
        ]
        answer = self.http.post("/v1/records", content="\n".join(map(json.dumps, rows)))
        if answer.status_code == 200:
            assert answer.json()["accepted"] == n
            self.acknowledged += names
        return answer

    def until_refused(self) -> httpx.Response:
        for _ in range(5000):
            answer = self.post(n=10)
            if answer.status_code != 200:
                return answer
        raise AssertionError("it was never full")


def stored(data: Path) -> Counter[str]:
    """Ids in all files that committed panes name."""
    ledger = Ledger(f"sqlite:///{data}/ledger.db")
    with ledger.read() as tx:
        paths = tx.execute(sa.select(tables.pane.c.path).where(tables.pane.c.path.is_not(None))).scalars().all()
    ledger.close()
    return Counter(name for path in paths for name in pq.read_table(data / path, partitioning=None)["id"].to_pylist())


def n_stored(service: Service) -> int:
    return int(service.model("m")["counters"].get("records", {}).get("stored", 0))


def metric(service: Service, name: str) -> float:
    (line,) = [line for line in service.http.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_a_disk_that_fills_up_refuses_in_time_works_on_and_recovers_by_itself(small: Path, tmp_path: Path, doc_blocks: list[Block]) -> None:
    ballast = small / "somebody elses file"
    ballast.write_bytes(b"x" * 25 * MB)
    with running(tmp_path, CONFIG.format(free=20 * MB)) as service:
        client = Client(service.http)
        refused = client.until_refused()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        (error,) = refused.json()["errors"]
        assert (error["reason"], "must be: send it again" in error["rule"]) == ("disk_low", True)
        assert service.http.post("/v1/labels", json={"id": "r0", "model": "m", "at": "2026-01-01T00:00:00Z"}).status_code == 503
        ready = service.http.get("/readyz")
        assert (ready.status_code, "the disk is low" in ready.json()["missing"][0]) == (503, True)
        assert metric(service, "retuned_disk_low_state") == 1.0
        assert 19 * MB < metric(service, "retuned_disk_free_bytes") < 30 * MB  # of 39, half of what came in is to be written once more
        (block,) = doc_blocks
        shown = block.run(cwd=tmp_path, replace={"http://127.0.0.1:8420": str(service.http.base_url).rstrip("/")})
        for name in ('retuned_kept_bytes{model="m"}', 'retuned_pruned_bytes_total{model="m",reason="age"}', "retuned_disk_free_bytes"):
            assert name in shown
        assert service.http.get("/healthz").status_code == 200
        wait_for(lambda: n_stored(service) == len(client.acknowledged), seconds=60, message="the tick reads on")
        ballast.unlink()
        wait_for(lambda: service.http.get("/readyz").status_code == 200, message="room")
        assert client.post(n=5).status_code == 200
        wait_for(lambda: n_stored(service) == len(client.acknowledged), seconds=60, message="everything in the ledger")
        assert metric(service, "retuned_disk_low_state") == 0.0
        assert metric(service, 'retuned_ticks_total{outcome="failed"}') == 0
        assert service.stop() == 0
    assert stored(small) == Counter(client.acknowledged)


def test_without_the_guard_a_really_full_disk_loses_nothing_and_needs_no_restart(small: Path, tmp_path: Path) -> None:
    ballast = small / "somebody elses file"
    with running(tmp_path, CONFIG.format(free=0)) as service:
        client = Client(service.http)
        client.post()
        free = os.statvfs(small)
        ballast.write_bytes(b"x" * (free.f_bavail * free.f_frsize - 6 * MB))
        refused = client.until_refused()
        assert (refused.status_code, refused.json()["errors"][0]["reason"]) == (503, "overload")
        assert "the spool cannot be written: No space left on device" in refused.json()["errors"][0]["rule"]
        wait_for(lambda: metric(service, 'retuned_ticks_total{outcome="failed"}') > 0, seconds=60, message="a tick without room")
        assert service.process.poll() is None
        ballast.unlink()
        wait_for(lambda: n_stored(service) == len(client.acknowledged), seconds=60, message="what was acknowledged is in the ledger")
        assert client.post(n=5).status_code == 200
        wait_for(lambda: n_stored(service) == len(client.acknowledged), seconds=60, message="what came after")
        assert service.stop() == 0
    log = (tmp_path / "service.log").read_text()
    assert "tick.failed" in log
    assert stored(small) == Counter(client.acknowledged)
    assert not list(small.glob("records/**/*.tmp"))
    ledger = Ledger(f"sqlite:///{small}/ledger.db")
    with ledger.read() as tx:
        assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    ledger.close()


def test_a_ledger_without_room_is_as_it_was_and_takes_the_same_panes_later(small: Path, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (small / "records").symlink_to(tmp_path / "records")  # only the ledger's disk is full
    service = InMemory(small, f"sqlite:///{small}/ledger.db")
    names = [f"r{i}" for i in range(3000)]
    service.spool.records(*[record(name, T) for name in names], received_at=T)
    ballast = small / "somebody elses file"
    fill(ballast)
    with pytest.raises(OperationalError, match=r"disk is full|disk I/O error"):
        service.tick(T + 12)
    with service.ledger.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(tables.pane)).scalar_one() == 0
    ballast.unlink()
    service.tick(T + 12)
    assert sorted(row["id"] for row in service.logged()) == sorted(names)
    assert service.counters()["records", "stored"] == len(names)
    service.ledger.close()


def test_inodes_that_run_out_are_a_low_disk_too(small: Path) -> None:
    limits = DiskSettings(min_free_bytes=0, min_free_inodes=50)
    assert not Disk(small, limits).state().is_low
    for i in range(1960):
        (small / str(i)).touch()
    state = Disk(small, limits).state()
    assert (state.is_low, "inodes are free, 50 must be" in state.because) == (True, True)
