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

from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATIENCE_S = 25.0
"""The service ends by itself within 20 s of SIGTERM."""


@dataclass
class Children:
    """Every process of one demo, each with a log file of its own in `logs`."""

    logs: Path
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
        """SIGTERM to each, then to what they started and left behind (a training in progress), by id; SIGKILL to those that stay."""
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
        self.started.clear()

    def _last_words(self, name: str) -> str:
        return "\n".join(self.log(name).splitlines()[-15:])


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()  # psutil compares the start time: a reused id is not hit
    _, alive = psutil.wait_procs(processes, timeout=5.0)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
