"""Accuracy without labels from the scores of the latest records, and from their inputs where these say what the score does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.performance.confidence import LEAST_N
from detectors.performance.exact_calibration import ExactCalibration, calibrate_exactly
from detectors.performance.latest_accuracy import LatestAccuracy
from detectors.performance.latest_answers import LatestAnswers
from detectors.performance.residual_trees import Trees, grown
from detectors.performance.scored import numbered, with_scores
from detectors.registry import register
from detectors.sequential.error_table import inputs_of
from detectors.sequential.table import Coding, coding_of, encode
from detectors.thinning import drawn_rows
from detectors.types import Eats, Increment, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

_LEARNT_N = 20_000
"""Labelled rows that trees learn from, at most, drawn."""
_LEAST_T = 6.0
"""So many standard errors better than the score on rows they have not seen, or inputs are not used."""


@dataclass(frozen=True, kw_only=True)
class InputsState:
    """What was learnt from the labelled reference rows, and what it says of the latest records."""

    calibration: ExactCalibration | None = None
    """None without labelled rows."""
    usual: float = 0.0
    """The accuracy on the labelled rows."""
    trees: Trees | None = None
    """None where inputs are not used."""
    t: float = 0.0
    """By how many standard errors they were better than the score."""
    subjects: tuple[str, ...] = ()
    knots: dict[str, Floats]
    names: dict[str, tuple[str, ...]]
    latest: LatestAnswers


@register("cbpe_inputs")
@dataclass(frozen=True, kw_only=True)
class CbpeInputs(LatestAccuracy):
    """The mean calibrated score of the latest answers, moved by what their inputs say of right and wrong that the score does not.

    Boosted trees learn "right, less its calibrated chance" from the labelled reference rows. They are used only if they lower the squared
    error of labelled rows that they have not seen by 6 standard errors; otherwise the scores alone speak (`cbpe`, of the latest records).
    Where they are used and fewer than 100 effective labelled rows are like the latest records, it abstains.
    """

    columns: tuple[str, ...] = ()
    """Subjects of numbers and categories that labelled rows have, too; the answer and its confidence are always read."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.TABLE, Eats.SCORES})
    guarantee: ClassVar[str] = (
        "none proven: the interval knows the labels' chance, the calibrator's finite rows, how far trees grown without a fifth of the rows "
        "differ and how well the size of their moves is known"
    )
    assumption: ClassVar[str] = (
        "given inputs and score, an answer is as likely right as in the labelled reference rows (the same concept); beyond the range of "
        "their numbers as at its end"
    )
    cost: ClassVar[str] = (
        "about a second once, for 150 small trees; then 3 to 10 µs a record; state of 1,000 records of 48 bytes and 30 KB of trees"
    )
    source: ClassVar[str] = "Białek, Kivimäki, Kuberski & Perrakis 2024, arXiv:2401.08348; trees of what is left: Friedman 2001, 2002"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("negative", "positive"), columns=("input.age", "input.channel"))

    def start(self, reference: Reference) -> InputsState:
        """The calibrator of the labelled rows with scores, and trees if their inputs carry what the score does not."""
        state, rows = InputsState(knots={}, names={}, latest=LatestAnswers.none()), with_scores(reference.bound, self.labels)
        if rows is None or rows.scores is None:
            return state
        calibration = calibrate_exactly(rows.scores, numbered(rows.label, self.labels), rows.weight)
        state = replace(state, calibration=calibration, usual=self.usual(reference.bound))
        return state if rows.n < 2 * LEAST_N else self._with_inputs(state, calibration, rows)

    def _with_inputs(self, state: InputsState, calibration: ExactCalibration, rows: Pairs) -> InputsState:
        rows = rows.take(drawn_rows(rows.n, _LEARNT_N))
        assert rows.scores is not None
        asked = inputs_of(rows.columns, rows.predicted, rows.scores, self.columns)
        coding = coding_of(asked)
        chance, _ = calibration.read(rows.scores, numbered(rows.predicted, self.labels))
        trees = grown(encode(coding, tuple(asked), asked, rows.n), 1.0 - rows.loss - chance)
        if trees.t < _LEAST_T:
            return replace(state, t=trees.t)
        return replace(state, t=trees.t, trees=trees, subjects=tuple(asked), knots=coding.knots, names=coding.names)

    def step(self, state: InputsState, data: Increment) -> tuple[InputsState, Verdict]:
        """One closed pane's records; those without all scores are left out, an answer that is none of the classes is wrong."""
        answers, scores = data.columns.get("output.label"), data.columns.get("output.scores")
        if state.calibration is None or answers is None or scores is None or scores.shape[1:] != (len(self.labels),):
            return state, self._told(state)
        newest = slice(-self.records_n, None)
        answers, scores = answers[newest], scores[newest]
        answer = numbered(answers, self.labels)
        kept = np.isfinite(scores).all(axis=1)
        new = LatestAnswers.none(int(kept.sum()))
        chance, block = state.calibration.read(scores[kept], answer[kept])
        new = replace(new, chance=chance.astype(np.float32), block=block.astype(np.int32))
        if state.trees is not None:
            asked = inputs_of({c: data.columns[c][newest] for c in self.columns if c in data.columns}, answers, scores, self.columns)
            moves, leaves = state.trees.read(encode(Coding(state.knots, state.names), state.subjects, asked, len(answers))[kept])
            new = replace(new, moves=np.where(answer[kept, None] >= 0, moves, 0.0).astype(np.float32), leaves=leaves)
        state = replace(state, latest=state.latest.then(new, self.records_n))
        return state, self._told(state)

    def _told(self, state: InputsState) -> Verdict:
        n, found = state.latest.n, None
        if n and state.calibration is not None:
            found = state.latest.right(state.calibration, state.trees, alpha=self.alpha)
        rows_n = found.n if found else 0.0 if state.calibration is None else state.calibration.n
        if state.trees is None or found is None:
            alone = f"inputs are not read: better by {state.t:.1f} standard errors on rows not learnt from, {_LEAST_T:.0f} are needed"
            by, of_them = f"by the scores of the last {n} answers alone ({alone})", "labelled reference rows with scores"
        else:
            by = (
                f"by scores and inputs of the last {n} answers and {rows_n:.0f} labelled rows like them; inputs move it by "
                f"{found.value - float(state.latest.chance.mean()):+.3f} (better than scores alone by {state.t:.0f} standard errors)"
            )
            of_them = "labelled reference rows count for inputs like these"
        return self.said(found, n=n, labelled_n=rows_n, usual=state.usual, by=by, of_them=of_them)
