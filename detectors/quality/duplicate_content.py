"""The same content under different ids: a sender that repeats itself, a join that multiplies rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, RiseState, Share, Trials
from detectors.quality.repeats import MEMORY_N, repeats
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
    """`tolerance` is of single records: so large a share of them may repeat a recent one beyond what the reference's do."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    @property
    def subject(self) -> str:
        """Not a column."""
        return CONTENT


@register("duplicate_content")
@dataclass(frozen=True, kw_only=True)
class DuplicateContent(_DuplicateContent, Share):
    """Share of blocks of 32 records of a pane in which a content comes twice; panes of fewer records have none.

    Blocks are independent when records are, as the interval wants its trials, and have one chance of a hit however many records a pane has.
    If each record repeats one of its block with the tolerance's chance, a block of 32 has a repetition with 1 - (1 - tolerance)^31. Where
    the reference's own contents repeat in nearly every block (few columns of few values) nothing can be said.
    """

    min_n: int = 10
    """Fewer blocks in the window: insufficient."""

    noun: ClassVar[str] = f"of {BLOCK_N} records have a content twice"
    trial: ClassVar[str] = "blocks"

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

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls()


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentState(RiseState):
    """By records; `tail` is their memory. A state by blocks, of an older release, is of another class and does not read as one."""


@register("duplicate_content_rise")
@dataclass(frozen=True, kw_only=True)
class DuplicateContentRise(_DuplicateContent, Rise):
    """Records have a content of the 31 before them more often than in the reference, by more than the tolerance: an e-detector.

    A clump of repetitions counts once (see `repeats`), in the reference as in production.
    """

    noun: ClassVar[str] = f"have a content of the {MEMORY_N} before them"
    trial: ClassVar[str] = "records"

    def known(self, reference: Reference) -> Known:
        """Its share of the reference's rows, in their order."""
        k, n, _ = repeats(_looked_at(reference.columns.get(CONTENT, _NONE)), _NONE)
        return Known(bound=float(upper_share(k, n, self.delta)), n=n) if n else UNKNOWN

    def start(self, reference: Reference) -> RiseState:
        """What is fine; the memory is empty."""
        state = super().start(reference)
        return ContentState(known=state.known, share=state.share)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:  # noqa: ARG002 (one memory for all)
        """The memory goes on from pane to pane."""
        k, n, memory = repeats(_looked_at(data.columns.get(CONTENT, _NONE)), tail)
        return Trials(k, n, tail=memory)

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(alpha=0.01)


def _looked_at(contents: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(contents[contents != NOT_LOOKED_AT], dtype=np.int64)
