"""What only processes of this machine can do; what every executor does is in tests/contract/test_executors.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import JobSpec, JobState, JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def until(found: Callable[[], bool], *, deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while not found():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.01)  # between two looks at the condition


def job(folder: Path, code: str, key: str = "run-1.training-0", **settings: float) -> JobSpec:
    return JobSpec(key=key, command=(sys.executable, "-I", "-S", "-c", code), folder=folder, **settings)  # type: ignore[arg-type]  # figures by name


def ended(executor: LocalExecutor, handle: str) -> JobStatus:
    until(lambda: executor.poll(handle).state is not JobState.RUNNING)
    return executor.poll(handle)


def test_a_job_outlives_the_killed_service_and_its_result_is_found(tmp_path: Path) -> None:
    service = f"""
import os, signal, sys
from pathlib import Path
from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import JobSpec
code = "import time, os; open('started', 'w').close()\\nwhile not os.path.exists('go'): time.sleep(.01)\\nraise SystemExit(7)"
LocalExecutor().submit(JobSpec(key="k", command=(sys.executable, "-I", "-S", "-c", code), folder=Path({str(tmp_path)!r})))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", service], check=False, timeout=30).returncode == -signal.SIGKILL
    handle = str(tmp_path / "k")
    until((tmp_path / "k" / "started").exists)
    assert LocalExecutor().poll(handle).state is JobState.RUNNING
    (tmp_path / "k" / "go").touch()
    assert ended(LocalExecutor(), handle).code == 7


def test_a_deadline_asks_first_and_kills_then(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\nwhile 1: time.sleep(.05)"
    executor = LocalExecutor()
    handle = executor.submit(job(tmp_path, stubborn, deadline_s=0.8, grace_s=0.5))
    status = ended(executor, handle)
    assert (status.code, status.stopped) == (-signal.SIGKILL, "deadline")
    assert executor.logs(handle).count("asked") == 1


def test_cancel_ends_a_job_and_is_harmless_afterwards(tmp_path: Path) -> None:
    executor = LocalExecutor()
    handle = executor.submit(job(tmp_path, "import time; open('up', 'w').close(); time.sleep(60)"))
    until((tmp_path / "run-1.training-0" / "up").exists)
    executor.cancel(handle)
    status = ended(executor, handle)
    assert (status.code, status.stopped) == (-signal.SIGTERM, "cancelled")
    executor.cancel(handle)
    assert executor.poll(handle) == status


def test_a_job_can_be_cancelled_as_soon_as_it_is_submitted(tmp_path: Path) -> None:
    executor = LocalExecutor()
    for i in range(5):
        handle = executor.submit(job(tmp_path, "import time; time.sleep(60)", key=f"run-{i}"))
        assert (tmp_path / f"run-{i}" / "pid.json").exists(), "a cancelling before that would be lost"
        executor.cancel(handle)
        assert ended(executor, handle).stopped == "cancelled"


def test_a_job_whose_whole_group_was_killed_is_lost_and_starts_again(tmp_path: Path) -> None:
    executor = LocalExecutor()
    first = "import time, os; os.path.exists('again') and os._exit(0)\nopen('up', 'w').close(); time.sleep(60)"
    handle = executor.submit(job(tmp_path, first))
    folder = tmp_path / "run-1.training-0"
    until((folder / "up").exists)
    os.killpg(json.loads((folder / "pid.json").read_text())["pgid"], signal.SIGKILL)
    until(lambda: executor.poll(handle).state is JobState.LOST)
    (folder / "again").touch()
    assert executor.submit(job(tmp_path, first)) == handle
    assert ended(executor, handle).code == 0


def test_a_job_whose_wrapper_was_killed_still_counts_as_running_and_can_be_cancelled(tmp_path: Path) -> None:
    executor = LocalExecutor()
    handle = executor.submit(job(tmp_path, "import time; open('up', 'w').close(); time.sleep(60)"))
    folder = tmp_path / "run-1.training-0"
    until((folder / "up").exists)
    wrapper = json.loads((folder / "pid.json").read_text())["pid"]
    os.kill(wrapper, signal.SIGKILL)
    assert executor.poll(handle).state is JobState.RUNNING

    def is_gone_when_asked_again() -> bool:
        executor.cancel(handle)
        return executor.poll(handle).state is JobState.LOST

    until(is_gone_when_asked_again)
