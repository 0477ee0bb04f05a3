"""The vocabulary of retraining: what a plan asks for and what a candidate is. Pure data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class Reason(StrEnum):
    """Why something failed: a closed set, also the metric's label."""

    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INTERRUPTED = "interrupted"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out_of_memory"
    NO_SPACE = "no_space"
    QUOTA = "quota"
    UNSCHEDULABLE = "unschedulable"
    IMAGE = "image"
    BAD_PLAN = "bad_plan"
    BAD_DATA = "bad_data"
    LEAK = "leak"
    WRONG_BASE = "wrong_base"
    NOT_ENOUGH_LABELS = "not_enough_labels"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    CRASHED = "crashed"


EXIT_TRANSIENT, EXIT_PERMANENT = 75, 65
"""Exit codes of a process of ours: start it again; starting it again will not help."""


class Transient(Exception):  # noqa: N818 (a domain failure, not a bug: house style)
    """May work when tried again."""

    def __init__(self, reason: Reason, detail: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason, self.detail, self.retry_after_s = reason, detail, retry_after_s


class Permanent(Exception):  # noqa: N818 (a domain failure, not a bug: house style)
    """Will fail again however often it is tried."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one model answered on labelled rows, one entry a row. All arrays have shape (n,); two evaluations of one gate share `row`."""

    row: NDArray[np.object_]
    """Record id, str: pairs champion with candidate."""
    label: NDArray[np.object_]
    predicted: NDArray[np.object_]
    loss: NDArray[np.float64]
    """0/1 error."""
    cluster: NDArray[np.object_]
    """Document or user that the row belongs to (the row's id where there is none): errors are clustered by it."""
    groups: Mapping[str, NDArray[np.object_]]
    """Protected column -> group of each row."""

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class VersionRef:
    """One version in the registry."""

    model: str
    version: str
    tags: Mapping[str, str]


class Versions(Protocol):
    """The registry, as far as the loop needs it. Aliases: champion, challenger, previous."""

    def stage(self, model: str, candidate: Path, *, key: str, tags: Mapping[str, str]) -> VersionRef:
        """Register the adapter in folder `candidate` once for `key` (the run's id): the same key gives the same version again."""
        ...

    def aliases(self, model: str) -> dict[str, str]:
        """Alias -> version, as the registry has it now."""
        ...

    def put_alias(self, model: str, alias: str, version: str | None) -> None:
        """Set (or with None remove) an alias; repeating it changes nothing."""
        ...

    def find(self, model: str, version: str) -> VersionRef | None:
        """A version, or None when it was deleted."""
        ...

    def fetch(self, model: str, version: str, into: Path) -> Path:
        """Download the adapter's folder."""
        ...
