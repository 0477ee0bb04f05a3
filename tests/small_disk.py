"""A file system that can really be full: a tmpfs of a given size, and what fills it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """`folder` (made here) as a tmpfs with mount's `options`; skips where nobody may mount one, which CI must not."""
    folder.mkdir(parents=True)
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        reason = f"only root may mount a small disk: {tried.stderr.strip()}"
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path, *, but_bytes: int = 0) -> None:
    """To the last byte, or to that many before it."""
    with path.open("wb", buffering=0) as out:
        with suppress(OSError):
            while out.write(b"x" * 2**16):
                pass
        out.truncate(max(0, out.tell() - but_bytes))
