"""Instants and durations, as a person reads them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0))


def when(at: float) -> str:
    """An instant, UTC, to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def lasting(seconds: float) -> str:
    """A duration in the largest unit that says enough: "119 s", "2 min", "47 h"."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds >= 2 * size or unit == "s")
    return f"{int(seconds / size)} {unit}"
