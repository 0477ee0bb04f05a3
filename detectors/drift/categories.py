"""What the detectors of categories share: the reference's counts as a state, and the two columns of counts to compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.counts import Counts, together

if TYPE_CHECKING:
    from detectors.types import Reference, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryState:
    """The reference's counts of one column; empty when it has no such column."""

    counts: dict[str, int] = field(default_factory=dict)
    other: int = 0
    missing: int = 0

    @property
    def n(self) -> int:
        """Records of the reference, with the missing ones."""
        return sum(self.counts.values()) + self.other + self.missing


def category_state(reference: Reference, column: str) -> CategoryState:
    """What a detector of one category column keeps of the reference."""
    found = reference.sketches.get(column, {}).get("counts")
    if not isinstance(found, Counts):
        return CategoryState()
    return CategoryState(counts=dict(found.counts), other=found.other, missing=found.missing)


def compared(state: CategoryState, window: Window, column: str) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Categories, and counts of each in the reference and in the window, both (k,); a missing value is a category of its own."""
    found = window.sketches.get(column, {}).get("counts")
    current = found if isinstance(found, Counts) else Counts()
    table = together(Counts(counts=state.counts, other=state.other, missing=state.missing), current)
    both = np.asarray(list(table.values()), dtype=np.float64).reshape(-1, 2)
    return list(table), both[:, 0], both[:, 1]


def largest_change(names: list[str], p: NDArray[np.float64], q: NDArray[np.float64]) -> str:
    """A clause: the category whose share changed most."""
    i = int(np.argmax(np.abs(q - p)))
    return f"most of all {names[i]!r}: {p[i]:.1%} before, {q[i]:.1%} now"
