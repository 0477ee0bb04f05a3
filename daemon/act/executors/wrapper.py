"""Runs one job beside the service: waits for it, keeps its deadline, writes how it ended. Started by `local.py` as a plain file (-I -S).

Nothing of this project is imported: it starts in 20 ms and a broken environment cannot hide how a job ended. The lock that the service
took is inherited by the job: whoever holds it is running the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

_stopped: list[str] = []


def main(folder: str, lock: int, started_fd: int) -> None:
    """Run the job in `folder` (job.json) and leave exit.json; `started_fd` is closed when it can be cancelled."""
    with open(f"{folder}/job.json", encoding="utf-8") as file:  # noqa: PTH123 (pathlib would double the start time)
        job = json.load(file)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: _stopped.append("cancelled"))
    with open(f"{folder}/job.log", "ab", buffering=0) as log, contextlib.suppress(OSError):  # noqa: PTH123 (as above)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    with contextlib.suppress(OSError):
        os.nice(int(job["niceness"]))
    _write(folder, "pid.json", {"pid": os.getpid(), "pgid": os.getpgrp()})
    os.close(started_fd)
    try:
        child = subprocess.Popen(job["command"], cwd=folder, env=job["env"], stdin=subprocess.DEVNULL, pass_fds=(lock,))  # noqa: S603 (the plan's own command)
        code = _wait(child, deadline=started + float(job["deadline_s"]), grace_s=float(job["grace_s"]))
    except OSError as e:
        sys.stderr.write(f"cannot start {job['command'][0]}: {e}\n")
        code = 126
    stopped = _stopped[0] if _stopped else None
    _write(folder, "exit.json", {"code": code, "stopped": stopped, "seconds": time.monotonic() - started})


def _wait(child: subprocess.Popen[bytes], *, deadline: float, grace_s: float) -> int:
    """Exit code; after the deadline or a SIGTERM the job is asked once, then killed."""
    kill_at: float | None = None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=0.2)
        now = time.monotonic()
        if now >= deadline and not _stopped:
            _stopped.append("deadline")
        if _stopped and kill_at is None:
            child.terminate()
            kill_at = now + grace_s
        elif kill_at is not None and now >= kill_at:
            child.kill()


def _write(folder: str, name: str, data: dict[str, Any]) -> None:
    """The whole file or none of it."""
    part = f"{folder}/.{name}"
    with open(part, "w", encoding="utf-8") as file:  # noqa: PTH123 (as above)
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, f"{folder}/{name}")  # noqa: PTH105 (as above)


if __name__ == "__main__":
    started, starting = os.pipe()
    if os.fork() == 0:  # the service waits for the parent only: no zombie, and the job is nobody's child
        os.close(started)
        main(sys.argv[1], int(sys.argv[2]), starting)
        os._exit(0)
    os.close(starting)
    os.read(started, 1)  # ends with the child's word, or with the child
    os._exit(0)
