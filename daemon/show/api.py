"""The service's HTTP API."""

from __future__ import annotations

from daemon.show.operations import Done, Operations

__all__ = ["Done", "Operations"]
