"""The port: run a command somewhere, for long, once a key; found again by whoever asks after a restart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


class JobState(StrEnum):
    """What became of a job."""

    RUNNING = "running"
    DONE = "done"
    """Ended; `JobStatus.code` says how."""
    LOST = "lost"
    """Nobody runs it and nobody wrote how it ended (the machine went down): submitting it again starts it again."""


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """What to run."""

    key: str
    """Idempotency: two submits of one key are one job. Letters, digits, dot, dash, underscore."""
    command: tuple[str, ...]
    folder: Path
    """Where the job keeps its state and log; survives the service."""
    workspace: Path | None = None
    """All files that the command reads and writes lie in it, so that it can run on another machine. None = on this one only."""
    env: Mapping[str, str] = field(default_factory=dict)
    """On top of the service's environment."""
    deadline_s: float = 6 * 3600.0
    """SIGTERM after this, SIGKILL `grace_s` later."""
    grace_s: float = 30.0
    niceness: int = 5
    """Training gives way to monitoring on the same machine."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """How a job stands."""

    state: JobState
    code: int | None = None
    """Exit code; negative = ended by that signal. None while it runs or when it is lost."""
    stopped: str | None = None
    """"deadline" or "cancelled" when we ended it."""
    seconds: float = 0.0
    """How long it ran."""
    reason: Reason | None = None
    """What the executor knows about a failure that the exit code does not tell; None = nothing."""
    because: str = ""
    """For a person: why it failed, or what a job that is not at work yet waits for."""


class Executor(Protocol):
    """Runs commands. Every method may raise `Transient`."""

    def submit(self, spec: JobSpec) -> str:
        """Start the job, or find the one with this key; a handle that survives restarts."""
        ...

    def poll(self, handle: str) -> JobStatus:
        """How it stands now; never blocks."""
        ...

    def cancel(self, handle: str) -> None:
        """Ask it to end; cancelling what has ended changes nothing."""
        ...

    def logs(self, handle: str, *, most_bytes: int = 65_536) -> str:
        """The end of what it wrote."""
        ...

    def forget(self, workspace: Path) -> None:
        """No job works in it any more: what they left on their way to and from it goes; repeating that changes nothing."""
        ...


def sound(key: str) -> str:
    """The key, which becomes names of files and of Jobs; `Permanent(BAD_PLAN)` when it is none."""
    if not _KEY.match(key):
        raise Permanent(Reason.BAD_PLAN, f"a job's key is letters, digits, dot, dash and underscore, got {key!r}")
    return key
