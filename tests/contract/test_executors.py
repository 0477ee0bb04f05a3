"""One contract for every executor: what `daemon.act.executors.port` promises, on this machine and on a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import Executor, JobSpec, JobState
from retrain.types import Permanent, Reason
from tests.clusters import Bench, bench_of, ended, spec, until

UP = "import sys, time; print('up', flush=True); "


@dataclass
class Local:
    """Processes of this machine."""

    folder: Path
    knows_memory: bool = False

    def executor(self) -> Executor:
        """A new one, as after a restart of the service."""
        return LocalExecutor()

    def lose(self, handle: str) -> None:
        """The machine goes down: nobody is left to say anything."""
        os.killpg(json.loads((Path(handle) / "pid.json").read_text())["pgid"], signal.SIGKILL)

    def eat(self) -> str:
        """Code that is killed for its memory: as the kernel does it, by SIGKILL."""
        return "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@dataclass
class Kubernetes:
    """Jobs of a cluster, their files on a shared claim."""

    folder: Path
    bench: Bench
    knows_memory: bool = True

    def executor(self) -> Executor:
        return self.bench.executor(resources={"memory": "300Mi"})

    def lose(self, handle: str) -> None:
        """Job, pod and machine are gone."""
        self.bench.kill(handle)
        self.bench.fake.delete_job(self.bench.job(handle), {"propagationPolicy": "Background"})

    def eat(self) -> str:
        return "import time; hold = [b'x' * 2**20 for _ in range(400)]; time.sleep(60)"


@pytest.fixture(params=["local", "kubernetes"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Local | Kubernetes]:
    if request.param == "local":
        yield Local(tmp_path)
        return
    with bench_of(tmp_path) as bench:
        yield Kubernetes(tmp_path, bench)


def job(bench: Local | Kubernetes, code: str, **settings: Any) -> JobSpec:
    return spec(bench.folder, code, **settings)


def is_up(executor: Executor, handle: str) -> None:
    until(lambda: "up" in executor.logs(handle))


def test_a_job_ends_with_its_exit_code_and_its_log_for_whoever_asks_later(bench: Local | Kubernetes) -> None:
    executor = bench.executor()
    handle = executor.submit(job(bench, "print('hello'); raise SystemExit(75)"))
    status = ended(executor, handle)
    assert (status.state, status.code, status.stopped) == (JobState.DONE, 75, None)
    again = bench.executor()
    assert again.poll(handle) == status
    assert "hello" in again.logs(handle)
    assert again.logs(handle, most_bytes=3) == executor.logs(handle)[-3:]


def test_an_ended_runs_jobs_are_known_when_what_they_left_elsewhere_is_gone(bench: Local | Kubernetes) -> None:
    executor = bench.executor()
    of = job(bench, "open('made', 'w').write('x'); raise SystemExit(0)")
    status = ended(executor, handle := executor.submit(of))
    assert of.workspace is not None
    for _ in range(2):
        executor.forget(of.workspace)
    assert bench.executor().poll(handle) == status
    assert of.workspace.is_dir()
    assert not [path for path in (bench.folder / "shared").rglob("*") if path.is_file()]


def test_a_key_runs_once_however_often_and_by_whomever_it_is_submitted(bench: Local | Kubernetes) -> None:
    spec = job(bench, UP + "time.sleep(0.3)")
    handles = {bench.executor().submit(spec) for _ in range(3)}
    assert len(handles) == 1
    handle = handles.pop()
    assert ended(bench.executor(), handle).code == 0
    assert bench.executor().submit(spec) == handle
    assert bench.executor().logs(handle).count("up") == 1


def test_a_job_outlives_the_service_that_submitted_it(bench: Local | Kubernetes) -> None:
    first = bench.executor()
    handle = first.submit(job(bench, UP + "time.sleep(1.0); raise SystemExit(7)"))
    del first
    second = bench.executor()
    is_up(second, handle)
    assert ended(second, handle).code == 7


def test_a_deadline_asks_first_and_kills_then(bench: Local | Kubernetes) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\nwhile 1: time.sleep(.05)"
    executor = bench.executor()
    handle = executor.submit(job(bench, stubborn, deadline_s=4.0, grace_s=1.0))
    status = ended(executor, handle)
    assert (status.state, status.stopped) == (JobState.DONE, "deadline")
    assert executor.logs(handle).count("asked") == 1


def test_cancel_ends_a_job_and_is_harmless_afterwards(bench: Local | Kubernetes) -> None:
    executor = bench.executor()
    handle = executor.submit(job(bench, UP + "time.sleep(60)", grace_s=5.0))
    is_up(executor, handle)
    executor.cancel(handle)
    status = ended(executor, handle)
    assert (status.state, status.stopped) == (JobState.DONE, "cancelled")
    executor.cancel(handle)
    assert bench.executor().poll(handle) == status


def test_a_job_that_is_lost_is_told_as_lost_and_starts_again(bench: Local | Kubernetes) -> None:
    executor = bench.executor()
    handle = executor.submit(job(bench, UP + "time.sleep(60)", grace_s=1.0))
    is_up(executor, handle)
    bench.lose(handle)
    until(lambda: executor.poll(handle).state is JobState.LOST)
    until(lambda: _is_gone(bench))
    assert executor.submit(job(bench, "print('second')")) == handle
    assert ended(executor, handle).code == 0
    assert "second" in executor.logs(handle)


def _is_gone(bench: Local | Kubernetes) -> bool:
    return isinstance(bench, Local) or not bench.bench.fake.all("pods")


def test_a_job_that_was_killed_for_its_memory_is_no_success(bench: Local | Kubernetes) -> None:
    executor = bench.executor()
    status = ended(executor, executor.submit(job(bench, bench.eat())))
    assert (status.state, status.code, status.stopped) == (JobState.DONE, -signal.SIGKILL, None)
    assert (status.reason is Reason.OUT_OF_MEMORY) is bench.knows_memory


def test_secrets_of_the_service_do_not_reach_jobs(bench: Local | Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETUNED_TOKEN", "RETUNED_NOTIFY_URLS", "PGPASSWORD"):
        monkeypatch.setenv(name, "hush-hush")
    executor = bench.executor()
    handle = executor.submit(job(bench, "import os; print(any(value.startswith('hush') for value in os.environ.values()))"))
    ended(executor, handle)
    assert executor.logs(handle).strip() == "False"
    assert not [p for p in bench.folder.rglob("*.json") if "hush-hush" in p.read_text()]


def test_a_key_cannot_leave_its_folder(bench: Local | Kubernetes) -> None:
    with pytest.raises(Permanent):
        bench.executor().submit(job(bench, "pass", key="../elsewhere"))
    with contextlib.suppress(AttributeError):
        assert not bench.bench.fake.all("jobs")  # type: ignore[union-attr]  # the cluster's only
