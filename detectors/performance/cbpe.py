"""Confidence-based performance estimation: how good the answers are, by their own calibrated scores, before any label is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.performance.calibration import Calibration
from detectors.performance.estimator import Estimator
from detectors.performance.scored import calibration_of, counts_of
from detectors.registry import register
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@dataclass(frozen=True, kw_only=True)
class CbpeState:
    """What the labelled reference rows say."""

    calibration: Calibration
    usual: float
    """The metric on these rows."""


@register("cbpe")
@dataclass(frozen=True, kw_only=True)
class Cbpe(Estimator):
    """A metric of the window's answers from their scores alone, calibrated on the labelled reference rows (isotonic, 200 bins)."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds the metric that the window's labels will show with about 1 - alpha"
    assumption: ClassVar[str] = "given the score, a class is as likely as in the labelled reference rows (the same concept)"
    cost: ClassVar[str] = "O(classes x 200) a look, flat in records; no labels of the window"
    source: ClassVar[str] = "Białek, Kivimäki, Kuberski & Perrakis 2024, arXiv:2401.08348; isotonic calibration: Zadrozny & Elkan 2002"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(metric="accuracy", labels=("negative", "positive"))

    def start(self, reference: Reference) -> CbpeState:
        """The calibrator, and what the metric usually is."""
        usual = self.usual(reference.bound)
        return CbpeState(calibration=calibration_of(reference, self.labels), usual=usual)

    def step(self, state: CbpeState, data: Window) -> tuple[CbpeState, Verdict]:
        """One look at a window."""
        counts, labelled_n = counts_of(data, self.labels), state.calibration.n
        n = int(counts[0].sum())
        verdict = self.said(
            self.estimate(counts, state.calibration),
            n=n,
            labelled_n=labelled_n,
            usual=state.usual,
            by=f"by the scores of {n} answers, no label needed",
            of_them="labelled reference rows with scores",
        )
        return state, verdict
