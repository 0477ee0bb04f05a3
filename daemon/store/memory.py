"""Memory that a large pane needed goes back to the system: the allocators would keep it for a next one."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def give_back() -> None:
    """Some milliseconds. Elsewhere than on glibc only Arrow's part."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
