"""How full the disk under the data folder is: asked before anything is taken in, because what was acknowledged must fit."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from retrain.types import Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from daemon.settings_service import DiskSettings

_FRESH_S = 0.05
"""At 200 MB/s no more than 10 MB come in between two looks; a look costs some microseconds."""
_HYSTERESIS_RATIO = 0.1
"""Of a limit: so much more must be free again, so that a disk at its limit does not open and close the door with every file."""
_RETRY_S = 10.0


class Space(Protocol):
    """What `os.statvfs` says. Blocks are those that an unprivileged process may use."""

    @property
    def f_frsize(self) -> int:
        """Bytes in a block."""
        ...

    @property
    def f_blocks(self) -> int:
        """All blocks."""
        ...

    @property
    def f_bavail(self) -> int:
        """Free blocks."""
        ...

    @property
    def f_files(self) -> int:
        """All inodes; 0 = the file system counts none."""
        ...

    @property
    def f_favail(self) -> int:
        """Free inodes."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskState:
    """As of the last look."""

    free_bytes: int
    is_low: bool = False
    because: str = ""
    """What is short, in a sentence; empty while nothing is."""


def judged(space: Space, limits: DiskSettings, *, was_low: bool, unread_bytes: int = 0) -> DiskState:
    """Low when fewer bytes or inodes are free than the limits say; no longer low when a tenth more than that is free.

    What was acknowledged and is not in the record log yet will be written a second time: so much must be free beside the limit.
    """
    free_bytes, all_bytes = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    wanted = {
        "bytes": (free_bytes, min(limits.min_free_bytes, limits.min_free_ratio * all_bytes)),
        "inodes": (space.f_favail, min(limits.min_free_inodes, limits.min_free_ratio * space.f_files)),
    }
    for what, (free, least) in wanted.items():
        limit = least + (unread_bytes if what == "bytes" and least else 0)
        if free < limit + (least * _HYSTERESIS_RATIO if was_low else 0.0):
            return DiskState(free_bytes=free_bytes, is_low=True, because=f"the disk is low: {free} {what} are free, {limit:.0f} must be")
    return DiskState(free_bytes=free_bytes)


class Disk:
    """One per service, read by any thread. A look is one system call, at most twenty a second."""

    def __init__(
        self,
        folder: Path,
        limits: DiskSettings,
        *,
        unread_bytes: Callable[[], int] = int,
        own: Iterable[Path] = (),
        clock: Callable[[], float] = time.monotonic,
        look: Callable[[Path], Space] = os.statvfs,
    ) -> None:
        """`own`: what this process has open in the folder and must find there."""
        self._folder, self._limits, self._unread_bytes, self._clock, self._look = folder, limits, unread_bytes, clock, look
        self._own = {path: _identity(path) for path in own}
        self._held = DiskState(free_bytes=0)
        self._until = float("-inf")

    def state(self) -> DiskState:
        """A twentieth of a second old at most."""
        now = self._clock()
        if now >= self._until:
            try:
                space, unread_bytes = self._look(self._folder), self._unread_bytes()
                gone = next((path for path, known in self._own.items() if _identity(path) != known), None)
                if gone is not None:
                    because = f"{gone} was removed or replaced under the service: what it writes is lost; put it back, or start it again"
                    self._held = DiskState(free_bytes=space.f_bavail * space.f_frsize, is_low=True, because=because)
                else:
                    self._held = judged(space, self._limits, was_low=self._held.is_low, unread_bytes=unread_bytes)
            except OSError as e:
                self._held = DiskState(free_bytes=0, is_low=True, because=f"the data folder cannot be looked at: {e.strerror}")
            self._until = now + _FRESH_S
        return self._held

    def refusal(self) -> Transient | None:
        """Why nothing can be taken in now, or None."""
        held = self.state()
        return Transient(Reason.UNAVAILABLE, held.because, retry_after_s=_RETRY_S) if held.is_low else None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file or folder it is, whatever stands under its name later; None = none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
