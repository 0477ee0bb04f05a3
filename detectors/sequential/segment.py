"""Labelled records of one segment: what lets a detector of labelled pairs look at these only.

A bet on the pairs of a segment is as valid as one on all pairs: which pairs those are is known before their labels count. Its limit comes
from the segment's own bound rows, so that a segment that was always worse than the rest is no alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.share import NO_LIMIT
from detectors.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from detectors.sequential.share import ShareState
    from detectors.types import Pairs


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One value of one column."""

    column: str
    """Subject of a category column that the labelled pairs carry: "input.channel"."""
    value: str
    least_n: int = 30
    """Fewer bound rows, or fewer labelled records so far, say nothing: INSUFFICIENT."""

    def __str__(self) -> str:
        """As in a subject: "channel=web"."""
        return f"{self.column.split('.', 1)[1]}={self.value}"

    def share(self, columns: Mapping[str, NDArray[np.object_]]) -> float:
        """Of records with these columns; 0 without the column."""
        values = columns.get(self.column)
        return float((values == self.value).mean()) if values is not None and len(values) else 0.0


@dataclass(frozen=True, kw_only=True)
class OfSegment:
    """What a detector of labelled pairs inherits to be one of a segment."""

    within: Segment | None = None
    """The segment whose records it looks at; None = all records."""

    def kept(self, pairs: Pairs) -> Pairs:
        """The segment's pairs, in their order; pairs that do not carry the column belong to no segment."""
        if self.within is None:
            return pairs
        values = pairs.columns.get(self.within.column)
        return pairs.take(np.zeros(pairs.n, dtype=np.bool_) if values is None else np.asarray(values == self.within.value, dtype=np.bool_))

    def named(self, subject: str) -> str:
        """The subject with the segment: "risk[channel=web]", "f1[label=positive,channel=web]"."""
        if self.within is None:
            return subject
        return f"{subject.removesuffix(']')},{self.within}]" if subject.endswith("]") else f"{subject}[{self.within}]"

    def sure(self, state: ShareState, outcome: Outcome, because: str) -> tuple[Outcome, str]:
        """What it says, of which segment, unless too few rows of that are behind it; evidence goes on meanwhile and counts afterwards."""
        if self.within is None:
            return outcome, because
        least = self.within.least_n
        if state.limit != NO_LIMIT and 0 < state.bound_n < least:
            outcome, because = Outcome.INSUFFICIENT, f"only {state.bound_n} bound rows count: {least} say what it is held to"
        elif state.limit != NO_LIMIT and 0 < state.n < least:
            outcome, because = Outcome.INSUFFICIENT, f"only {state.n:.0f} labelled records count so far: it is judged from {least} on"
        return outcome, f"{self.within}: {because}"
