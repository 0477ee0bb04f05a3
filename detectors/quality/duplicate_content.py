"""The same content under different ids: a sender that repeats itself, a join that multiplies rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, Share, Trials
from detectors.registry import register
from detectors.sequential.interval import upper_share
from detectors.sequential.share import NO_LIMIT
from detectors.sketches.hits import Hits
from detectors.sketches.records import BLOCK_N, CONTENT, NOT_LOOKED_AT, RECORD, repeating_blocks
from detectors.types import Eats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Window

_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class _DuplicateContent(Fault):
    """A trial is a block of 32 records in a row, a hit one in which some content comes twice.

    Blocks are independent when records are, and have one chance of a hit however many records a pane has.
    `tolerance` is of single records: if each repeats one of its block with that chance, a block of 32 has a repetition with
    1 - (1 - tolerance)^31. Where the reference's own contents repeat in nearly every block (few columns of few values) nothing can be said.
    """

    noun: ClassVar[str] = f"of {BLOCK_N} records have a content twice"
    trial: ClassVar[str] = "blocks"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    @property
    def subject(self) -> str:
        """Not a column."""
        return CONTENT

    def known(self, reference: Reference) -> Known:
        """Its share of the reference's blocks."""
        hits = Hits().add(repeating_blocks(reference.columns.get(CONTENT, _NONE)))
        return Known(bound=float(upper_share(hits.k, hits.n, self.delta)), n=hits.n) if hits.n else UNKNOWN

    def limit(self, known: Known) -> float:
        """The share of blocks that is fine."""
        if not 0.0 <= known.bound < 1.0:
            return NO_LIMIT
        return 1.0 - (1.0 - known.bound) * (1.0 - self.tolerance) ** (BLOCK_N - 1)

    def in_window(self, known: Known, window: Window) -> Trials:  # noqa: ARG002 (the counts say it all)
        """Whole blocks of the window's panes."""
        found = window.sketches.get(RECORD, {}).get("repeats", Hits())
        return Trials(found.k, found.n)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:  # noqa: ARG002 (as above)
        """Blocks go on from pane to pane."""
        contents = np.concatenate([tail, data.columns.get(CONTENT, _NONE)])
        contents = contents[contents != NOT_LOOKED_AT]
        found = repeating_blocks(contents)
        return Trials(int(found.sum()), len(found), tail=contents[len(found) * BLOCK_N :])


@register("duplicate_content")
@dataclass(frozen=True, kw_only=True)
class DuplicateContent(_DuplicateContent, Share):
    """Share of blocks of 32 records of a pane in which a content comes twice; panes of fewer records have none."""

    min_n: int = 10
    """Fewer blocks in the window: insufficient."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls()


@register("duplicate_content_rise")
@dataclass(frozen=True, kw_only=True)
class DuplicateContentRise(_DuplicateContent, Rise):
    """Contents repeat within 32 records more often than in the reference, by more than the tolerance: an e-detector."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(alpha=0.01)
