"""A real service as a process of its own, on a free port, ended by its pid; and real databases for the ledger."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from daemon.store.ledger import Ledger
from tests import postgresql, warm


def wait_for(what: Callable[[], Any], *, seconds: float = 30.0, message: str = "the condition") -> Any:
    """What `what` gives as soon as it is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)  # a poll with a deadline, not a wait for luck
    pytest.fail(f"{message} did not come about within {seconds} s")


def free_port() -> int:
    """One that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@dataclass
class Service:
    process: warm.Process
    http: httpx.Client
    folder: Path

    def model(self, name: str) -> dict[str, Any]:
        return dict(self.http.get(f"/v1/models/{name}").raise_for_status().json())

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=30)


@contextmanager
def running(folder: Path, config: str, *, has_reports: bool = False, clock: warm.Ahead | None = None) -> Iterator[Service]:
    """`retuned serve` on `config` (YAML; data_dir is `folder`/data and the port is free).

    Evidently's report of an incident costs 8 s of CPU: written where a test is about it. `clock`: its wall clock, where a test sets it.
    """
    path = folder / "retuned.yaml"
    path.write_text(f"data_dir: {folder / 'data'}\nhttp: {{port: 0}}\n{config}")
    where = folder / "data" / "service.json"
    where.unlink(missing_ok=True)
    process = warm.Process(path, folder / "service.log", {"OMP_NUM_THREADS": "1"}, has_reports=has_reports, clock=clock)
    try:
        wait_for(lambda: where.exists() or process.poll() is not None, seconds=90, message="the service's start")
        assert process.poll() is None, (folder / "service.log").read_text()
        with httpx.Client(base_url=json.loads(where.read_text())["url"], timeout=10.0) as http:
            service = Service(process=process, http=http, folder=folder)
            wait_for(lambda: http.get("/readyz").status_code == 200, seconds=90, message="readiness")
            yield service
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Any]:
    """Starts the service on a configuration; to be used as a context manager."""
    return partial(running, tmp_path)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """A PostgreSQL of this session."""
    where = postgresql.installed()
    if where is None and os.environ.get("CI") != "true":
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    assert where is not None, "PostgreSQL is not installed, and CI must not skip: apt-get install postgresql"
    with postgresql.running(where) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of an empty database, another one at each call: the test runs once on each kind."""
    if request.param == "postgresql":
        server: postgresql.Server = request.getfixturevalue("postgresql_server")
        return server.new_database
    numbers = itertools.count()
    return lambda: f"sqlite:///{tmp_path}/ledger-{next(numbers)}.db"


@pytest.fixture
def ledger(new_database: Callable[[], str]) -> Iterator[Ledger]:
    """An empty one of this version, once on each kind of database."""
    found = Ledger(new_database())
    found.migrate()
    yield found
    found.close()
