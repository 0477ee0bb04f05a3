"""Labelled records of an incident."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labelled records since the incident opened, and what their loss is held to."""

    n: int = 0
    errors_n: int = 0
    limit: float | None = None
    """Source bound plus tolerance, as the `risk` detector has it; None = there is none."""
