"""Ids that come again: a client that sends what was acknowledged already. The records themselves are counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.quality.fault import Fault, Known, Rise, Share, Trials
from detectors.registry import register
from detectors.sketches.hits import Hits
from detectors.sketches.records import RECORD
from detectors.types import Eats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Window


@dataclass(frozen=True, kw_only=True)
class _DuplicateId(Fault):
    """A reference has every id once, so the limit is the tolerance alone."""

    tolerance: float = 0.05
    """Share of arrivals that may be repetitions: retries after a lost answer are no fault."""

    noun: ClassVar[str] = "came under an id that had come before"
    trial: ClassVar[str] = "arrivals"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    @property
    def subject(self) -> str:
        """Not a column."""
        return f"{RECORD}.id"

    def known(self, reference: Reference) -> Known:  # noqa: ARG002 (it has every id once)
        """Nothing is to be learned."""
        return Known(bound=0.0, n=0)

    def in_window(self, known: Known, window: Window) -> Trials:  # noqa: ARG002 (the counts say it all)
        """Counted where records come in."""
        found = window.sketches.get(RECORD, {}).get("ids", Hits())
        return Trials(found.k, found.n)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:  # noqa: ARG002 (as above)
        """Counted where records come in."""
        return Trials(data.repeated, data.arrived, tail=tail)


@register("duplicate_id")
@dataclass(frozen=True, kw_only=True)
class DuplicateId(_DuplicateId, Share):
    """Share of arriving records whose id had come before."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls()


@register("duplicate_id_rise")
@dataclass(frozen=True, kw_only=True)
class DuplicateIdRise(_DuplicateId, Rise):
    """Ids come again more often than the tolerance: an e-detector."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(alpha=0.01)
