"""Bytes of folders. Folders whose files never change are looked into again only when a file came or went."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Sizes:
    """Of one data folder. Cost: one `stat` a file in folders that changed, one a folder otherwise."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._days: dict[str, tuple[int, int]] = {}  # a day's folder of the record log -> (when it changed, bytes)

    def of_model(self, model: str, *, until: float) -> int | None:
        """Everything that is kept for a model in files; None when `time.monotonic()` passed `until` on the way: the next call goes on."""
        records = self._records(f"records/{model}", until)
        if records is None:
            return None
        others = sum(tree_bytes(self._data_dir / kind / model) for kind in ("runs", "references", "reports"))
        return records + others + sum(tree_bytes(self._data_dir / name) for name in children(self._data_dir, "adapters", f"{model}-"))

    def _records(self, folder: str, until: float) -> int | None:
        days = children(self._data_dir, folder)
        for gone in [day for day in self._days if day.startswith(f"{folder}/") and day not in days]:
            del self._days[gone]
        for day in days:
            changed = (self._data_dir / day).stat().st_mtime_ns
            if self._days.get(day, (0, 0))[0] != changed:
                self._days[day] = (changed, tree_bytes(self._data_dir / day))
                if time.monotonic() >= until:
                    return None
        return sum(self._days[day][1] for day in days)


def tree_bytes(path: Path) -> int:
    """Of a file or of everything below a folder; 0 when it is not there. Links are not followed."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        with os.scandir(path) as found:
            entries = list(found)
        return sum(tree_bytes(path / e.name) if e.is_dir(follow_symlinks=False) else e.stat(follow_symlinks=False).st_size for e in entries)
    except FileNotFoundError:  # somebody else removed it
        return 0


def children(data_dir: Path, folder: str, prefix: str = "") -> list[str]:
    """Entries of a folder, relative to the data folder, in order; none when it is not there."""
    try:
        return sorted(f"{folder}/{entry.name}" for entry in os.scandir(data_dir / folder) if entry.name.startswith(prefix))
    except (FileNotFoundError, NotADirectoryError):
        return []
