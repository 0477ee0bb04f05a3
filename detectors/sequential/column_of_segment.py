"""A column within one segment: the detectors of columns, given the records of the segment only.

They stay as they are. What they promise and assume is theirs, of the segment: its reference rows are independent draws, and given the past
a record of it has their distribution. Which records those are is read from the records themselves, before the column's values count.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from detectors.sequential.conformal_category import ConformalCategory
from detectors.sequential.conformal_numeric import ConformalNumeric
from detectors.sequential.segment import OfSegment, Segment
from detectors.sketches.records import AT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Verdict


@dataclass(frozen=True, kw_only=True)
class ColumnOfSegment(OfSegment):
    """Stands before the detector of a column in a class's bases."""

    within: Segment = field()
    """The segment whose records it looks at."""
    column: str

    @property
    def subject(self) -> str:
        """The column with the segment: "output.label[shop=fr]"."""
        return self.named(self.column)

    def start(self, reference: Reference) -> Any:  # noqa: ANN401 (the detector's own state)
        """From the segment's reference rows; without any every verdict is INSUFFICIENT."""
        return super().start(replace(reference, columns=self._own(reference.columns)))  # type: ignore[misc]  # of the detector behind it

    def step(self, state: Any, data: Increment) -> tuple[Any, Verdict]:  # noqa: ANN401
        """One closed pane's records of the segment; one without any is no step."""
        state, verdict = super().step(state, replace(data, columns=self._own(data.columns)))  # type: ignore[misc]
        return state, replace(verdict, because=f"{self.within}: {verdict.because}")

    def _own(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The column and the records' times, shapes (n,), of the segment's records in their order; {} where any is not there."""
        names, values = columns.get(self.within.column), columns.get(self.column)
        if names is None or values is None or len(names) != len(values):
            return {}
        rows = np.flatnonzero(names == self.within.value)
        return {s: found[rows] for s in (self.column, AT) if (found := columns.get(s)) is not None and len(found) == len(names)}


@dataclass(frozen=True, kw_only=True)
class CategoryOfSegment(ColumnOfSegment, ConformalCategory):
    """`conformal_category` of a segment's records: "in the French shop the model now says refund twice as often"."""

    @classmethod
    def example(cls) -> Self:
        """For documentation."""
        return cls(column="output.label", within=Segment(column="segment.shop", value="fr"), alpha=0.01)


@dataclass(frozen=True, kw_only=True)
class NumericOfSegment(ColumnOfSegment, ConformalNumeric):
    """`conformal_numeric` of a segment's records."""

    @classmethod
    def example(cls) -> Self:
        """For documentation."""
        return cls(column="output.score", within=Segment(column="segment.shop", value="fr"), alpha=0.01)
