"""Do the inputs of each class look as they did? Exact ranks within each true class: shares of classes may move as they like."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import expit

from detectors.performance.scored import numbered
from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import NOTHING, check_bets, check_rates, is_reached, log10_mean, restart
from detectors.sequential.hour_limits import bound_hours, hours_of_pairs
from detectors.sequential.hour_ranks import HourRanks, hour_ranks, ranked_within
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.row_bets import PANE_N
from detectors.sequential.weighted_ranks import RANK_WEIGHTS, Ranks, ranks_of
from detectors.types import Eats, Increment, Kind, Outcome, Reference, Score, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

_LEAST_N = 20
"""Labelled reference rows of a class; records of one with fewer are left out."""
_WIDTH = 1.96
_GRID = expit(np.linspace(-9.0, 9.0, 1000))
"""Scores that fix the cells of ranks by hour: as fine near 0 and 1 as scores are."""


@dataclass(frozen=True, kw_only=True)
class GivenClassesState:
    """Ranks of each class that has rows enough, by its number, and one martingale over all."""

    ranks: dict[str, Ranks | HourRanks]
    wrong: Floats
    """Share of each class's reference rows that are answered wrongly, shape (classes,)."""
    rows_n: Floats
    log_m: Floats = field(default_factory=lambda: np.full(len(RANK_WEIGHTS), NOTHING))
    recent: Floats
    """Records of each class, then errors less the class's share, then their squares."""
    n: int = 0
    step_n: int = 0

    def __post_init__(self) -> None:
        check_bets(self.log_m, RANK_WEIGHTS)


@register("conformal_given_classes")
@dataclass(frozen=True, kw_only=True)
class ConformalGivenClasses:
    """Label shift moves the shares of the classes and nothing within them: has anything within them moved?

    A record's score is the probability that the model gave to the class that is true. Its rank among the reference's rows of that class
    and all since is exactly uniform, whatever the classes' shares do; bets as in `conformal_numeric` (Shiryaev-Roberts), over all classes.
    With a rhythm, and bound rows that carry a time, a record is ranked among those of its class and its hour.
    """

    labels: tuple[str, ...]
    """The classes, in the order of the scores."""
    alpha: float = 0.001
    """1 / mean panes between false words."""
    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.EXPLAINS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "a mean of at least 1/alpha panes with labels between false words, whatever the shares of the classes do"
    assumption: ClassVar[str] = (
        "bound rows are independent draws; within its class (with a rhythm: and its hour) a labelled record has "
        "their distribution, given the past; what moves within a "
        "class is seen through the model's scores alone"
    )
    cost: ClassVar[str] = "1 ms a pane of up to 50 pairs, 4 ms of 2,000 (later ones are left out); state of 20 KB a class"
    source: ClassVar[str] = (
        "Vovk, Gammerman & Shafer 2005, Algorithmic learning in a random world (Mondrian); Shin et al. 2022, arXiv:2203.03532"
    )

    def __post_init__(self) -> None:
        check_rates(self.alpha, 0.5)
        if len(self.labels) < 2:  # noqa: PLR2004 (one class has no share that could move)
            raise ValueError(f"labels must be at least two classes, got {self.labels}")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(labels=("negative", "positive"), alpha=0.01)

    @property
    def subject(self) -> str:
        """What it asks about."""
        return "inputs given labels"

    def start(self, reference: Reference) -> GivenClassesState:
        """The bound rows by class."""
        bound, k = reference.bound, len(self.labels)
        classes, scores = numbered(bound.label, self.labels), self._scores(bound)
        rows_n = np.bincount(classes[classes >= 0], minlength=k).astype(np.float64)
        errors = np.bincount(classes[classes >= 0], bound.loss[classes >= 0], minlength=k)
        ranks: dict[str, Ranks | HourRanks] = {}
        timed = bound_hours(bound, np.arange(bound.n), self.rhythm)
        for c in np.flatnonzero(rows_n >= _LEAST_N).tolist():
            own = classes == c
            ranks[str(c)] = ranks_of(scores[own]) if timed is None else hour_ranks(scores[own], timed[0][own], timed[1], _GRID)
        return GivenClassesState(ranks=ranks, wrong=errors / np.maximum(rows_n, 1.0), rows_n=rows_n, recent=no_sums(k + 2))

    def step(self, state: GivenClassesState, data: Increment) -> tuple[GivenClassesState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without any is no step."""
        pairs = data.pairs.take(slice(0, PANE_N))
        classes = numbered(pairs.label, self.labels)
        is_known = np.isin(classes, [int(c) for c in state.ranks])
        if is_known.any():
            state = self._folded(state, pairs.take(is_known), classes[is_known], data.start)
        return state, self._verdict(state)

    def _folded(self, state: GivenClassesState, pairs: Pairs, classes: NDArray[np.int64], start: datetime) -> GivenClassesState:
        uniforms, scores = rank_uniforms(start, state.step_n, pairs.n, of=self.name), self._scores(pairs)
        log_bets, ranks, hours = np.zeros(len(RANK_WEIGHTS)), dict(state.ranks), _hours(state, pairs, start)
        for c in np.unique(classes).tolist():
            rows, own = classes == c, ranks[str(c)]
            bets, ranks[str(c)] = ranked_within(own, np.ones(len(own.rows)), scores[rows], hours[rows], uniforms[:, rows])
            log_bets = log_bets + bets
        log_m = restart(state.log_m, log_bets, alpha=self.alpha)
        unexplained = pairs.loss - state.wrong[classes]
        sums = np.append(np.bincount(classes, minlength=len(self.labels)), [unexplained.sum(), (unexplained**2).sum()])
        recent = add_sums(state.recent, pairs.n, sums, log10_e=log10_mean(log_m, RANK_WEIGHTS), alpha=self.alpha)
        return replace(state, ranks=ranks, log_m=log_m, recent=recent, n=state.n + pairs.n, step_n=state.step_n + 1)

    def _scores(self, pairs: Pairs) -> Floats:
        """Of each pair's true class, shape (n,); without scores whether it was answered."""
        is_right = 1.0 - pairs.loss
        if pairs.scores is None or pairs.scores.shape[1] != len(self.labels):
            return is_right
        truth = numbered(pairs.label, self.labels)
        own = pairs.scores[np.arange(pairs.n), truth]
        return np.where(np.isnan(own), is_right, own)

    def _verdict(self, state: GivenClassesState) -> Verdict:
        log10_e = log10_mean(state.log_m, RANK_WEIGHTS) if state.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        n, sums = latest(state.recent, is_alarm=is_alarm)
        value, low, high = _figures(state, n, sums)
        told = f"errors that shares of classes do not explain are {value:+.3f} on the last {n} labelled records ({low:+.3f} to {high:+.3f})"
        if n == 0:
            outcome, because = Outcome.INSUFFICIENT, f"no labelled records yet of a class with {_LEAST_N} labelled rows in the reference"
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"within the classes the model's scores have changed: {told}"
        else:
            outcome, because = Outcome.OK, f"no evidence that scores have changed within any class: {told}"
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=log10_e, limit=-math.log10(self.alpha)),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
        )


def _hours(state: GivenClassesState, pairs: Pairs, start: datetime) -> NDArray[np.int64]:
    """Of each pair, where ranks are by hour."""
    hours_n = next((len(own.counts) for own in state.ranks.values() if isinstance(own, HourRanks)), 1)
    return hours_of_pairs(pairs, hours_n, start)


def _figures(state: GivenClassesState, n: int, sums: Floats) -> tuple[float, float, float]:
    """Errors beyond those that the reference's share of errors in each class leads to expect; both sides' own error in the interval."""
    if n == 0:
        return 0.0, -1.0, 1.0
    share, value = sums[:-2] / n, float(sums[-2]) / n
    variance = share**2 * state.wrong * (1.0 - state.wrong) / np.maximum(state.rows_n, 1.0)
    spread = math.sqrt(float(variance.sum()) + max(0.0, float(sums[-1]) / n - value**2) / n)
    return value, max(-1.0, value - _WIDTH * spread), min(1.0, value + _WIDTH * spread)
