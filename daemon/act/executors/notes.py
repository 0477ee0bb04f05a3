"""What an executor keeps about a job in its folder: small JSON files, whole or not there, for the service's user alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from retrain.types import Permanent, Reason
from retrain.whole import write_whole

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
    """The whole note or none; for nobody else's eyes, since a local job's environment is in it."""
    write_whole(path, json.dumps(data).encode(), mode=0o600)
