"""`retuned serve` in a process of its own, forked from one that has already imported what a service imports.

To start Python and to import costs 2 s of CPU a service, MLflow on first use as much again, and the suite starts some forty of them. What
runs is the command itself, with its own pid, environment, log and exit code. The command started by its name, from nothing, is in the
tests of the guides, of the image, of systemd and of the demo.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
os.environ.setdefault("DO_NOT_TRACK", "true")

_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(
    [
        "daemon.service",
        "daemon.cli",
        "mlflow.artifacts",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.model_registry.sqlalchemy_store",
    ]
)


_COLD = multiprocessing.get_context("spawn")
Ahead: TypeAlias = "Synchronized[float]"


def ahead(seconds: float) -> Ahead:
    """How far the wall clock of a service that is given it is ahead; its `value` may be set at any moment."""
    return _COLD.Value("d", seconds)


class Process:
    """As much of `subprocess.Popen` as the tests use."""

    def __init__(self, config: Path, log: Path, env: Mapping[str, str], *, has_reports: bool, clock: Ahead | None = None) -> None:
        context = _WARM if clock is None else _COLD  # nothing may have taken hold of the clock before
        self._process = context.Process(target=_serve, args=(config, log, {**os.environ, **env}, has_reports, clock))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("retuned serve", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve(config: Path, log: Path, env: dict[str, str], has_reports: bool, clock: Ahead | None) -> None:
    """Runs in the new process."""
    if clock is not None:
        is_right = time.time
        time.time = lambda: is_right() + clock.value
    os.environ.clear()
    os.environ.update(env)
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(said, sys.stdout.fileno())
    os.dup2(said, sys.stderr.fileno())
    from daemon.act.report import Reporter
    from daemon.cli import app

    if not has_reports:
        Reporter.deliver = lambda *_: None  # type: ignore[method-assign]
    sys.argv = ["retuned", "serve", "--config", str(config)]
    app()
