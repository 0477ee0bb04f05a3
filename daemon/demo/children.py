"""The demo's own processes: started, waited for, and ended by their id; nothing that the demo did not start is touched."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import JobState
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATIENCE_S = 25.0
"""The service ends by itself within 20 s of SIGTERM."""
_JOB_PATIENCE_S = 40.0
"""A job's wrapper kills it after its grace."""


@dataclass
class Children:
    """Every process of one demo, each with a log file of its own in `logs`.

    The service's jobs (a training, the scoring of a watch) outlive it by design; the demo knows them by their folders under `jobs`.
    """

    logs: Path
    jobs: Path | None = None
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, threads: int | None = None) -> subprocess.Popen[bytes]:
        """`python -m ARGUMENTS…` in a session of its own (Ctrl-C reaches the demo alone); its words go to logs/NAME.log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        if threads is not None:
            environment |= {"OMP_NUM_THREADS": str(threads)}
        with (self.logs / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", *arguments]
            child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)  # noqa: S603 (our own modules)
        self.started[name] = child
        return child

    def log(self, name: str) -> str:
        """What a process has said so far."""
        return (self.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """`Permanent(CRASHED)` with its last words when a process that should run has ended."""
        for name, child in self.started.items():
            if child.poll() is not None:
                raise Permanent(Reason.CRASHED, f"{name} ended with code {child.returncode}:\n{self._last_words(name)}")

    def finished(self, name: str) -> bool:
        """True when the process ended well; `Permanent(CRASHED)` when it ended badly."""
        code = self.started[name].poll()
        if code:
            raise Permanent(Reason.CRASHED, f"{name} ended with code {code}:\n{self._last_words(name)}")
        if code == 0:
            del self.started[name]
        return code == 0

    def wait(self, what: str, ready: Callable[[], bool], *, timeout_s: float, meanwhile: Callable[[], None]) -> None:
        """Until `ready`; `Transient(TIMEOUT)` after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > deadline:
                raise Transient(Reason.TIMEOUT, f"{what} took more than {timeout_s:g} s; see {self.logs}")
            meanwhile()
            time.sleep(0.1)

    def end(self) -> None:
        """SIGTERM to each, then to what they started and left behind, by id; SIGKILL to those that stay."""
        left: list[psutil.Process] = []
        for child in self.started.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                left += psutil.Process(child.pid).children(recursive=True)
        for child in self.started.values():
            child.terminate()
        deadline = time.monotonic() + _PATIENCE_S
        for child in self.started.values():
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        _end(left)
        if self.jobs is not None:
            end_jobs(self.jobs)
        self.started.clear()

    def _last_words(self, name: str) -> str:
        return "\n".join(self.log(name).splitlines()[-15:])


def end_jobs(folder: Path) -> None:
    """Cancel every job under `folder` that still runs and wait until it is gone, at most its grace."""
    executor = LocalExecutor()
    running = [str(job.parent) for job in folder.rglob("jobs/*/job.json")]
    running = [job for job in running if executor.poll(job).state is JobState.RUNNING]
    for job in running:
        executor.cancel(job)
    deadline = time.monotonic() + _JOB_PATIENCE_S
    while any(executor.poll(job).state is JobState.RUNNING for job in running) and time.monotonic() < deadline:
        time.sleep(0.1)


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()  # psutil compares the start time: a reused id is not hit
    _, alive = psutil.wait_procs(processes, timeout=5.0)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
