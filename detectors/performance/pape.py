"""Performance before any label, where inputs have moved: scores calibrated anew for the inputs of the latest records (PAPE)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from detectors.performance.calibration import score_counts
from detectors.performance.estimated import Estimated
from detectors.performance.estimator import Estimator
from detectors.performance.reweighted import Labelled
from detectors.performance.scored import numbered, with_scores
from detectors.registry import register
from detectors.sequential.error_table import inputs_of
from detectors.sequential.row_bets import PANE_N
from detectors.sequential.table import Coding, coding_of, encode
from detectors.thinning import drawn_rows
from detectors.types import Eats, Increment, Kind, Reference, Score, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_POOL_N, _LABELLED_N = 1000, 2048
_FIGURES = ("value", "low", "high", "n")
_ANEW_N = 64
"""Records that are worth a new estimate."""


@dataclass(frozen=True, kw_only=True)
class PapeState:
    """Labelled reference rows and the latest records, inputs as codes (see `table`), and what was estimated last."""

    subjects: tuple[str, ...]
    knots: dict[str, Floats]
    names: dict[str, tuple[str, ...]]
    codes: NDArray[np.uint8]
    """Of the labelled rows, shape (rows, columns)."""
    scores: NDArray[np.float32]
    """Shape (rows, classes)."""
    truth: NDArray[np.int16]
    usual: float
    """The metric on the labelled rows."""
    pool: NDArray[np.uint8]
    """At most 1,000 records, shape (records, columns)."""
    pool_scores: NDArray[np.float32]
    pool_answer: NDArray[np.int16]
    fresh_n: int = 0
    """Records since the last estimate."""
    estimated: tuple[float, ...] = ()
    """`_FIGURES`; () = none yet."""
    n: int = 0
    """Records that it speaks of."""


@register("pape")
@dataclass(frozen=True, kw_only=True)
class Pape(Estimator):
    """A metric of the latest 1,000 answers from scores and inputs: `cbpe` with labelled rows weighted by production's density ratio.

    Where inputs moved to where scores are less (or more) honest, CBPE is off and this is not. Below 100 effective labelled rows it
    abstains: production is then too far from what is labelled.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ESTIMATES
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.TABLE, Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "none proven: the interval knows the labels' chance and the few weighted rows, not that weights are estimates"
    )
    assumption: ClassVar[str] = (
        "given inputs and score, a class is as likely as in the labelled reference rows (the same concept); the logarithm of production's "
        "density ratio is a sum over columns"
    )
    cost: ClassVar[str] = "20 ms every 64 records, once for all metrics; 3,048 rows of a byte a value and 4 bytes a score"
    source: ClassVar[str] = "Białek, Kivimäki, Kuberski & Perrakis 2024, arXiv:2401.08348; Shimodaira 2000"

    columns: tuple[str, ...] = ()
    """Subjects of numbers and categories that labelled rows have, too; the answer and its confidence are always read."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(metric="accuracy", labels=("negative", "positive"), columns=("input.age", "input.channel"))

    def start(self, reference: Reference) -> PapeState:
        """At most 2,048 labelled rows with scores, drawn."""
        rows = with_scores(reference.bound, self.labels) or reference.bound.take(slice(0, 0))
        rows = rows.take(drawn_rows(rows.n, _LABELLED_N))
        scores = np.empty((0, len(self.labels))) if rows.scores is None or not rows.n else rows.scores
        asked = inputs_of(rows.columns, rows.predicted, scores, self.columns)
        coding = coding_of(asked)
        codes = encode(coding, tuple(asked), asked, rows.n)
        return PapeState(
            subjects=tuple(asked),
            knots=coding.knots,
            names=coding.names,
            codes=codes,
            scores=scores.astype(np.float32),
            truth=numbered(rows.label, self.labels).astype(np.int16),
            usual=self.usual(reference.bound),
            pool=codes[:0],
            pool_scores=scores[:0].astype(np.float32),
            pool_answer=np.empty(0, np.int16),
        )

    def step(self, state: PapeState, data: Increment) -> tuple[PapeState, Verdict]:
        """One closed pane; a new estimate whenever that is worth it."""
        answers, scores = data.columns.get("output.label"), data.columns.get("output.scores")
        if answers is not None and scores is not None and scores.shape[1:] == (len(self.labels),) and len(state.codes):
            state = self._taken(state, data.columns, answers[:PANE_N], scores[:PANE_N])
        if state.fresh_n >= (_ANEW_N if state.estimated else self.min_n):
            state = self._anew(state)
        found = Estimated(**dict(zip(_FIGURES, state.estimated, strict=True))) if state.estimated else None
        verdict = self.said(
            found,
            n=state.n,
            labelled_n=found.n if found is not None else float(len(state.codes)),
            usual=state.usual,
            by=f"by scores and inputs of the last {state.n} answers and {found.n if found else 0.0:.0f} labelled rows like them",
            of_them="labelled reference rows count for inputs like these" if found else "labelled reference rows with scores",
        )
        return state, verdict

    def _taken(self, state: PapeState, columns: Any, answers: NDArray[np.object_], scores: Floats) -> PapeState:  # noqa: ANN401 (as in `Increment`)
        """The pane's records into the pool, those without all scores left out."""
        answer = numbered(answers, self.labels)
        kept = np.isfinite(scores).all(axis=1)
        asked = inputs_of({c: columns[c][: len(answers)] for c in self.columns if c in columns}, answers, scores, self.columns)
        codes = encode(Coding(state.knots, state.names), state.subjects, asked, len(answers))
        return replace(
            state,
            pool=np.concatenate([state.pool, codes[kept]])[-_POOL_N:],
            pool_scores=np.concatenate([state.pool_scores, scores[kept].astype(np.float32)])[-_POOL_N:],
            pool_answer=np.concatenate([state.pool_answer, answer[kept].astype(np.int16)])[-_POOL_N:],
            fresh_n=state.fresh_n + int(kept.sum()),
        )

    def _anew(self, state: PapeState) -> PapeState:
        labelled = Labelled(state.codes, state.scores, state.truth)
        calibration = labelled.calibration(Coding(state.knots, state.names), state.subjects, state.pool)
        counts = score_counts(state.pool_scores.astype(np.float64), state.pool_answer.astype(np.int64))
        found = self.estimate(counts, calibration)
        estimated = () if found is None else tuple(getattr(found, name) for name in _FIGURES)
        return replace(state, fresh_n=0, estimated=estimated, n=len(state.pool))
