"""An input within one segment: "the French shop began to send empty ages". The detectors of columns, given the segment's records only.

Categories are `CategoryOfSegment` as they stand. Numbers and texts keep fewer cells than those of all records do, for there are as many of
them as there are segments. What is missing is counted from the segment's own reference rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.quality.fault import UNKNOWN, Known, Rise, RiseState
from detectors.quality.missing import MissingRise, is_missing
from detectors.sequential.column_of_segment import ColumnOfSegment, NumericOfSegment
from detectors.sequential.interval import upper_share
from detectors.sequential.joined_cells import with_joined
from detectors.sequential.segment import Segment
from detectors.sequential.text_figures import FiguresState, TextFigures
from detectors.types import Outcome

if TYPE_CHECKING:
    from detectors.sequential.conformal_numeric import NumericState
    from detectors.types import Increment, Reference, Verdict


@dataclass(frozen=True, kw_only=True)
class NumberWithin(NumericOfSegment):
    """`conformal_numeric` of a segment's records, in at most 128 cells (with a rhythm 16 an hour)."""

    def start(self, reference: Reference) -> NumericState:
        """From the segment's reference rows."""
        return with_joined(super().start(reference), self.rhythm)

    def step(self, state: NumericState, data: Increment) -> tuple[NumericState, Verdict]:
        """One closed pane's records of the segment. A distance alone does not say that values come empty: an alarm says so, too."""
        state, verdict = super().step(state, data)
        values = self._own(data.columns).get(self.column, np.empty(0))
        if verdict.outcome is Outcome.ALARM and (k := int(is_missing(values).sum())):
            verdict = replace(verdict, because=f"{verdict.because}; {k} of {len(values)} in the newest pane are missing or unreadable")
        return state, verdict

    @classmethod
    def example(cls) -> Self:
        """For documentation."""
        return cls(column="input.age", within=Segment(column="input.shop", value="fr"), alpha=0.01)


@dataclass(frozen=True, kw_only=True)
class TextWithin(ColumnOfSegment, TextFigures):
    """`text_figures` of a segment's records, likewise."""

    def start(self, reference: Reference) -> FiguresState:
        """From the segment's reference texts."""
        state: FiguresState = super().start(reference)
        return replace(state, figures=tuple(with_joined(figure, self.rhythm) for figure in state.figures))

    @classmethod
    def example(cls) -> Self:
        """For documentation."""
        return cls(column="input.text", within=Segment(column="input.shop", value="fr"), alpha=0.01)


@dataclass(frozen=True, kw_only=True)
class MissingWithin(ColumnOfSegment, MissingRise):
    """`missing_rise` of a segment's records. Of numbers also what does not read as one: which rows those are is not known here."""

    noun: ClassVar[str] = "are missing or unreadable"

    def known(self, reference: Reference) -> Known:
        """Its share of the segment's reference rows; `reference`: with these only, as `start` gives it."""
        values = reference.columns.get(self.column)
        if values is None or not len(values):
            return UNKNOWN
        k, n = int(is_missing(values).sum()), len(values)
        return Known(bound=float(upper_share(k, n, self.delta)), n=n, is_numeric=values.dtype != object)

    def unreadable(self, known: Known, data: Increment) -> int:  # noqa: ARG002 (the rows are not known)
        """Counts as missing."""
        return 0

    def step(self, state: RiseState, data: Increment) -> tuple[RiseState, Verdict]:
        """One closed pane's records of the segment; one without any is no step. The sentence names column and segment already."""
        return Rise.step(self, state, replace(data, columns=self._own(data.columns)))

    @classmethod
    def example(cls) -> Self:
        """For documentation."""
        return cls(column="input.age", within=Segment(column="input.shop", value="fr"), alpha=0.01)
