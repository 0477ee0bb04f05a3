"""A numeric column moves away from its reference: a conformal (rank) e-detector."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import NOTHING, check_rates, is_reached, log10_mean, restart
from detectors.sequential.ranks import (
    BETS_N,
    BINS_N,
    log_rank_bets,
    rank_counts,
    rank_distance,
    rank_uniforms,
    reference_radius,
)
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_KNOTS_N = 2048


@dataclass(frozen=True, kw_only=True)
class NumericState:
    """The reference as a grid of cells, and the wealth of each bet."""

    knots: Floats
    """Distinct reference values (thinned to at most 2,048), ascending; missing is -inf."""
    below: Floats
    """Share of the reference below each knot."""
    up_to: Floats
    """Share of the reference up to each knot."""
    reference_n: int
    radius: float
    log_m: Floats = field(default_factory=lambda: np.full(BETS_N, NOTHING))
    recent: Floats = field(default_factory=lambda: no_sums(BINS_N))
    step_n: int = 0


@register("conformal_numeric")
@dataclass(frozen=True, kw_only=True)
class ConformalNumeric:
    """Ranks of production values in the reference bet against being uniform; missing values rank below all others.

    A step is a pane that has records: M <- (M + 1) prod(bets) for each of 19 bets (location up and down, spread out and in), alarm when
    their mean reaches 1/alpha. Values between two thinned knots are one cell with a random rank: exact, not approximate.
    """

    column: str
    """Subject of the column: "input.age", "output.score"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that the reference is further off than its radius; then the promise is void for the epoch."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.NUMERIC})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with records"
    assumption: ClassVar[str] = "reference rows are independent draws; given the past, a record has the reference's distribution"
    cost: ClassVar[str] = "19 logarithms a record; state of at most 2,048 reference values"
    source: ClassVar[str] = "Vovk et al. 2021, Retrain or not retrain; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)

    @classmethod
    def example(cls) -> ConformalNumeric:
        """For contract tests and documentation."""
        return cls(column="input.age", alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> NumericState:
        """The reference's cells; without values of the column every verdict is INSUFFICIENT."""
        values = np.sort(_ordered(reference.columns.get(self.column, np.empty(0))))
        if len(values) == 0:
            none = np.empty(0)
            return NumericState(knots=none, below=none, up_to=none, reference_n=0, radius=1.0)
        knots = np.unique(values)
        if len(knots) > _KNOTS_N:
            knots = knots[np.linspace(0, len(knots) - 1, _KNOTS_N).round().astype(np.int64)]
        return NumericState(
            knots=knots,
            below=np.searchsorted(values, knots, side="left") / len(values),
            up_to=np.searchsorted(values, knots, side="right") / len(values),
            reference_n=len(values),
            radius=reference_radius(len(values), self.delta),
        )

    def step(self, state: NumericState, data: Increment) -> tuple[NumericState, Verdict]:
        """One closed pane; one without records of the column is no step."""
        values = _ordered(data.columns.get(self.column, np.empty(0)))
        if len(values) and state.reference_n:
            u = _ranks(state, values, rank_uniforms(data.start, state.step_n, len(values)))
            log_m = restart(state.log_m, log_rank_bets(u, state.radius), alpha=self.alpha)
            recent = add_sums(state.recent, len(values), rank_counts(u), log10_e=log10_mean(log_m), alpha=self.alpha)
            state = replace(state, log_m=log_m, recent=recent, step_n=state.step_n + 1)
        return state, self._verdict(state)

    def _verdict(self, state: NumericState) -> Verdict:
        log10_e = log10_mean(state.log_m) if state.step_n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        n, counts = latest(state.recent, is_alarm=is_alarm)
        value, low, high = rank_distance(counts, n, state.radius)
        if n == 0:
            outcome = Outcome.INSUFFICIENT
            because = "no production values yet" if state.reference_n else "the reference has no values of this column"
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"the last {n} values are {value:.2f} away from the {state.reference_n} of the reference"
        else:
            outcome, because = Outcome.OK, f"the last {n} values give no evidence against the reference (distance {value:.2f})"
        evidence = EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=self.delta)
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
        )


def _ordered(values: NDArray[np.float64]) -> Floats:
    """Missing (NaN) as -inf: a value like any other, below all."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(numbers), -np.inf, numbers)


def _ranks(state: NumericState, values: Floats, uniforms: Floats) -> Floats:
    """Randomised rank of each value in [0, 1]: inside its knot's own mass, or inside the mass between two knots."""
    at = np.searchsorted(state.knots, values, side="left")
    is_knot = state.knots[np.minimum(at, len(state.knots) - 1)] == values
    low = np.where(is_knot, np.append(state.below, 1.0)[at], np.append(0.0, state.up_to)[at])
    high = np.where(is_knot, np.append(state.up_to, 1.0)[at], np.append(state.below, 1.0)[at])
    return np.asarray(low + uniforms * (high - low), dtype=np.float64)
