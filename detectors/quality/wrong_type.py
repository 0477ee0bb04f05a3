"""Values that are there and do not read as the column's kind: "n/a" in a column of numbers, a number for a text, a list for a category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, Share, Trials
from detectors.registry import register
from detectors.sequential.interval import upper_share
from detectors.sketches.hits import Hits
from detectors.types import Eats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Window


@dataclass(frozen=True, kw_only=True)
class _WrongType(Fault):
    """Counted where records are read: a column of numbers holds NaN there, the others what the value says as text."""

    column: str
    """Subject, "input.age"."""

    noun: ClassVar[str] = "do not read as the column's kind"
    trial: ClassVar[str] = "records"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    def known(self, reference: Reference) -> Known:
        """Its share of the reference's rows."""
        found = reference.sketches.get(self.column, {}).get("wrong", Hits())
        return Known(bound=float(upper_share(found.k, found.n, self.delta)), n=found.n) if found.n else UNKNOWN

    def in_window(self, known: Known, window: Window) -> Trials:  # noqa: ARG002 (the counts say it all)
        """Counted in the sketches."""
        found = window.sketches.get(self.column, {}).get("wrong", Hits())
        return Trials(found.k, found.n)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:  # noqa: ARG002 (as above)
        """Counted where the pane was read."""
        return Trials(data.wrong.get(self.column, 0), data.n if self.column in data.columns else 0, tail=tail)


@register("wrong_type")
@dataclass(frozen=True, kw_only=True)
class WrongType(_WrongType, Share):
    """Share of records whose value of a column is there and does not read as its kind."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")


@register("wrong_type_rise")
@dataclass(frozen=True, kw_only=True)
class WrongTypeRise(_WrongType, Rise):
    """More values of a column do not read as its kind than in the reference, by more than the tolerance: an e-detector."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age", alpha=0.01)
