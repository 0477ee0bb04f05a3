"""Views as JSON for the wire: instants become ISO 8601 in UTC, everything else stays as it is named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

_INSTANTS = frozenset({"at", "since", "start", "end", "muted_until"})


def iso(at: float) -> str:
    """Epoch seconds as ISO 8601, UTC, milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_wire(value: Any, name: str = "") -> Any:  # noqa: ANN401 (JSON)
    """Dataclasses to dicts, tuples to lists, instants (`_INSTANTS` and `*_at`) to ISO 8601, infinities to None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_wire(getattr(value, f.name), f.name) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_wire(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(v) for v in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, name)
    return value


def _number(value: float, name: str) -> float | str | None:
    if not math.isfinite(value):
        return None
    return iso(value) if name in _INSTANTS or name.endswith("_at") else value
