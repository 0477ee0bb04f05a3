"""What an executor keeps about a job in its folder: small JSON files, whole or not there, for the service's user alone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from pathlib import Path


def read_note(path: Path) -> dict[str, Any] | None:
    """A note, None when there is none; `Permanent(BAD_DATA)` when it is no JSON."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise Permanent(Reason.BAD_DATA, f"{path} is no JSON") from e
    return found


def write_note(path: Path, data: dict[str, Any]) -> None:
    """Written beside, flushed, renamed."""
    part = path.with_name(f".{path.name}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # a local job's environment is in it
    with os.fdopen(fd, "w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
