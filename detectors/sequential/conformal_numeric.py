"""A numeric column moves away from its reference: a conformal (rank) e-detector."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import NOTHING, check_rates, is_reached, log10_mean, restart
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend
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
from detectors.sequential.scores import SCORE_WEIGHTS, log_score_bets
from detectors.sequential.urn import Knots, cells_of, fixed_ranks, knots_of, urn_ranks
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_WEIGHTS = np.concatenate([0.75 * SCORE_WEIGHTS, np.full(BETS_N, 0.25 / BETS_N)])
"""Three quarters of the stake on exact ranks, a quarter on ranks in the reference alone."""


@dataclass(frozen=True, kw_only=True)
class NumericState:
    """Cells between the reference's values (see `urn`), and the wealth of each bet."""

    values: Floats
    """Distinct values of the knots; missing is -inf."""
    keys: Floats
    gaps: Floats
    """Weight of each cell in the reference."""
    weights: Floats
    """The same with all that came since."""
    reference_n: int
    radius: float
    log_m: Floats = field(default_factory=lambda: np.full(len(_WEIGHTS), NOTHING))
    recent: Floats = field(default_factory=lambda: no_sums(BINS_N))
    purse: Purse = field(default_factory=lambda: full_purse(len(_WEIGHTS)))
    step_n: int = 0


@register("conformal_numeric")
@dataclass(frozen=True, kw_only=True)
class ConformalNumeric:
    """Ranks of production values bet against being uniform; missing values rank below all others.

    Exact ranks among reference and past (`urn`) are quick and need no radius; but a change that nobody acts on becomes their past. So a
    quarter of the stake is on ranks in the reference alone, less its radius: what is beyond that stays in alarm. A step is a pane that has
    records: M <- (M + 1) prod(bets) for each of 39 and 19 bets (location, spread, tails), alarm when their weighted mean reaches 1/alpha.
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
    cost: ClassVar[str] = "20 logarithms and 256 comparisons a record; state of at most 512 cells"
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
        values = _ordered(reference.columns.get(self.column, np.empty(0)))
        n = len(values)
        knots = knots_of(values) if n else Knots(np.empty(0), np.empty(0), np.empty(0))
        radius = min(1.0, reference_radius(n, self.delta) + 1.0 / n) if n else 1.0
        return NumericState(**knots._asdict(), weights=knots.gaps, reference_n=n, radius=radius)

    def step(self, state: NumericState, data: Increment) -> tuple[NumericState, Verdict]:
        """One closed pane; one without records of the column is no step."""
        values = _ordered(data.columns.get(self.column, np.empty(0)))
        if len(values) and state.reference_n:
            for_rank, for_tie = rank_uniforms(data.start, state.step_n, len(values))
            cells = cells_of(state.values, state.keys, values, for_tie)
            exact, weights = urn_ranks(state.weights, cells, for_rank)
            fixed = fixed_ranks(state.gaps, cells, for_rank)
            log_bets = np.concatenate([log_score_bets(exact), log_rank_bets(fixed, state.radius)])
            log_m = restart(state.log_m, log_bets, alpha=self.alpha)
            log10_e = log10_mean(log_m, _WEIGHTS)
            recent = add_sums(state.recent, len(values), rank_counts(fixed), log10_e=log10_e, alpha=self.alpha)
            purse = spend(state.purse, log_bets)
            state = replace(state, weights=weights, log_m=log_m, recent=recent, purse=purse, step_n=state.step_n + 1)
        return state, self._verdict(state)

    def _verdict(self, state: NumericState) -> Verdict:
        log10_e = log10_mean(state.log_m, _WEIGHTS) if state.step_n else 0.0
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
            e_value=e_value_of(state.purse, _WEIGHTS),
        )


def _ordered(values: NDArray[np.float64]) -> Floats:
    """Missing (NaN) as -inf: a value like any other, below all."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(numbers), -np.inf, numbers)
