"""Files that are there whole or not at all, also after the machine lost its power. Used by the training process and by the service."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def whole(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write into; when the block ends without an error it is on the disk as `path`, in place of what was there.

    Written beside (.tmp), flushed, renamed, and the folder flushed too. After an error what was there stays and no half does (on a full
    disk it would be in the way of what makes room). `mode`: permissions, less the umask. Makes missing folders.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """These bytes."""
    with whole(path, mode=mode) as out:
        out.write(data)


def copy_whole(source: Path, target: Path) -> None:
    """What `source` holds now."""
    with source.open("rb") as read, whole(target) as out:
        shutil.copyfileobj(read, out)


def sync(path: Path) -> None:
    """A file is on the disk; of a folder the names of the files in it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
