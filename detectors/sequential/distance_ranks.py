"""The part of `domain_classifier` that learns nothing on the way: how far rows are off (`row_distance`), ranked as numbers are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.rhythm import Rhythm
from detectors.sequential.conformal_numeric import ConformalNumeric, NumericState
from detectors.sketches.records import AT
from detectors.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detectors.types import Increment, Reference, Verdict

    Floats = NDArray[np.float64]

_COLUMN = "columns.distance"
_NAMED_N, _NAMED_SHARE = 3, 0.1


@dataclass(frozen=True, kw_only=True)
class DistanceRanks:
    """A `conformal_numeric` of the distances; what each column brings to them, shape (rows, columns), is called `parts`."""

    alpha: float
    delta: float
    rhythm: Rhythm
    moved: str
    """What an alarm begins with: "the columns together differ from the reference"."""

    def start(self, reference: Reference, parts: Floats, ats: NDArray[Any]) -> NumericState:
        """Of rows of half B and their times; () = not known."""
        return self._ranks().start(replace(reference, columns={_COLUMN: parts.sum(axis=1), AT: ats}))

    def step(self, state: NumericState, data: Increment, parts: Floats) -> tuple[NumericState, Verdict]:
        """A pane's rows; without any it is no step."""
        ats = data.columns.get(AT, np.empty(0))[: len(parts)]
        return self._ranks().step(state, replace(data, columns={_COLUMN: parts.sum(axis=1), AT: ats}))

    def is_of_ties(self, state: NumericState) -> bool:
        """Whether what evidence there is comes from the random order of equal distances."""
        return self._ranks().is_of_ties(state)

    def said(self, verdict: Verdict, state: NumericState, subjects: Sequence[str], farther: Floats) -> Verdict:
        """In words. `farther`: how much more than the reference's each column brings, shape (columns,); () = not known."""
        if verdict.outcome is Outcome.INSUFFICIENT or self.is_of_ties(state):
            return verdict
        if verdict.outcome is Outcome.OK:
            says = f"values of the last {verdict.n} rows go together as its own do (distance {verdict.value:.2f})"
            return replace(verdict, because=f"no evidence that {self.moved}: {says}")
        how = "otherwise" if not len(farther) else "worse" if farther.sum() > 0.0 else "better"
        brought = np.maximum(-farther if how == "better" else farther, 0.0)
        blame = blamed(subjects, brought / max(float(brought.sum()), 1e-12))
        timed = "" if self.rhythm is Rhythm.NONE else f", compared {self.rhythm.words}"
        says = (
            f"{self.moved}: values of the last {verdict.n} rows go together {how} than its own do ({verdict.value:.2f} apart{timed}){blame}"
        )
        return replace(verdict, because=says)

    def _ranks(self) -> ConformalNumeric:
        return ConformalNumeric(column=_COLUMN, alpha=self.alpha, delta=self.delta, rhythm=self.rhythm)


def blamed(subjects: Sequence[str], shares: Floats) -> str:
    """Columns with a tenth of the difference and more: ", most by input.age (62 %), input.channel (20 %)"; nothing without an alarm."""
    if not len(shares):
        return ""
    order = [j for j in np.argsort(-shares, kind="stable")[:_NAMED_N] if shares[j] >= _NAMED_SHARE]
    return ", most by " + ", ".join(f"{subjects[j]} ({shares[j]:.0%})" for j in order) if order else ", by many columns, each a little"
