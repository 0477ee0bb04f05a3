"""Nothing is deleted while somebody copies: a lock file that the kernel frees when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Hold:
    """Of one data folder. A copy holds it for as long as it reads; whoever deletes asks first, and leaves it for later when it is held."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    @contextmanager
    def held(self) -> Iterator[None]:
        """Until the end of the block nothing is deleted; waits for a deletion that is under way."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def deleting(self) -> Iterator[bool]:
        """Whether something may be deleted in this block. Never waits."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fd = os.open(self._data_dir / ".hold", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # writable: NFS wants it for a lock
        try:
            if os.geteuid() == 0:  # a backup by root must not shut out the service
                owner = self._data_dir.stat()
                os.fchown(fd, owner.st_uid, owner.st_gid)
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)
