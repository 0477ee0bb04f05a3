"""Jobs as processes of this machine: each in a session of its own, outliving the service, found again by its folder.

A job's folder holds job.json (what to run), lock (held by whoever runs it: the kernel frees it with the last process), pid.json, job.log
and exit.json (how it ended). Nothing depends on the memory of the process that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from daemon.act.executors.notes import read_note, write_note
from daemon.act.executors.port import JobSpec, JobState, JobStatus, sound
from retrain.types import Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRAPPER = Path(__file__).with_name("wrapper.py")
_START_S = 20.0
_SECRETS = ("RETUNED_TOKEN", "RETUNED_NOTIFY_URLS", "PGPASSWORD")
"""Not handed to jobs."""


class LocalExecutor:
    """`Executor` on this machine. Safe to use from several processes: the lock decides."""

    def submit(self, spec: JobSpec) -> str:
        """Start the job unless it runs or has ended; a job that was lost starts again in the same folder."""
        folder = (spec.folder / sound(spec.key)).resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder) as held:
                if held is not None and not (folder / "exit.json").exists():
                    write_note(folder / "job.json", _job(spec))
                    _start(folder, held)
        except (OSError, subprocess.SubprocessError) as e:
            raise Transient(Reason.UNAVAILABLE, f"cannot start job {spec.key}: {e}") from e
        return str(folder)

    def poll(self, handle: str) -> JobStatus:
        """How it stands, from its folder alone."""
        folder = Path(handle)
        ended = read_note(folder / "exit.json")
        if ended is None and _is_held(folder):
            return JobStatus(state=JobState.RUNNING)
        ended = ended or read_note(folder / "exit.json")  # it may have ended between the two looks
        if ended is None:
            return JobStatus(state=JobState.LOST)
        return JobStatus(state=JobState.DONE, code=int(ended["code"]), stopped=ended["stopped"], seconds=float(ended["seconds"]))

    def cancel(self, handle: str) -> None:
        """SIGTERM by its wrapper, SIGKILL after the grace; when the wrapper is gone the whole group is killed."""
        folder = Path(handle)
        who = read_note(folder / "pid.json")
        if who is None or not _is_held(folder):
            return
        pid, group = int(who["pid"]), int(who["pgid"])
        with contextlib.suppress(ProcessLookupError):  # it ended in the meantime
            if _is_alive(pid, group):
                os.kill(pid, signal.SIGTERM)
            else:
                os.killpg(group, signal.SIGKILL)

    def logs(self, handle: str, *, most_bytes: int = 65_536) -> str:
        """The end of its output; empty before it wrote any."""
        try:
            with (Path(handle) / "job.log").open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - most_bytes))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def forget(self, workspace: Path) -> None:
        """Nothing: they worked in the folder itself."""


def _job(spec: JobSpec) -> dict[str, Any]:
    env = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    return {
        "command": list(spec.command),
        "env": {**env, **spec.env},
        "deadline_s": spec.deadline_s,
        "grace_s": spec.grace_s,
        "niceness": spec.niceness,
    }


def _start(folder: Path, held: int) -> None:
    command = [sys.executable, "-I", "-S", str(_WRAPPER), str(folder), str(held)]
    subprocess.run(  # noqa: S603 (our own wrapper)
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(held,),
        timeout=_START_S,
        check=True,
    )


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """The job's lock (a file descriptor) or None when somebody holds it. A process that inherits it keeps it."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield fd
    finally:
        os.close(fd)


def _is_held(folder: Path) -> bool:
    """Whether somebody runs the job. A shared lock for the asking, so that two askers do not take each other for the job."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _is_alive(pid: int, group: int) -> bool:
    """Whether the wrapper still waits. While the job's lock is held its group exists, so the group's number is nobody else's."""
    try:
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
