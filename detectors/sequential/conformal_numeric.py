"""A numeric column moves away from its reference: a conformal (rank) e-detector."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.rhythm import Rhythm, increment_by_hour, why_not_yet
from detectors.sequential.bets import NOTHING, check_bets, check_rates, is_reached, log10_mean, restart
from detectors.sequential.number_cells import NumberCells, cells_by_hour, fallen, gain_of, ranked
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend
from detectors.sequential.ranks import BETS_N, BINS_N, log_rank_bets, rank_counts, rank_distance, rank_uniforms
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.scores import SCORE_WEIGHTS, log_score_bets
from detectors.sequential.shapes import OF_A_PANE, SHAPE_BETS_N, log_shape_bets, no_shapes
from detectors.sequential.ties import OF_TIES, UNKNOWN, gained_since_rest, is_of_ties
from detectors.sequential.way_back import looked_back, not_over, set_aside
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_WEIGHTS = np.concatenate([0.6 * SCORE_WEIGHTS, np.full(SHAPE_BETS_N, 0.15 / SHAPE_BETS_N), np.full(BETS_N, 0.25 / BETS_N)])
"""Three quarters of the stake on exact ranks (of these a fifth on any shape), a quarter on ranks in the reference alone."""
_OF_A_PANE = np.concatenate([np.zeros(len(SCORE_WEIGHTS), dtype=bool), OF_A_PANE, np.zeros(BETS_N, dtype=bool)])
"""Bets whose wealth ends with the pane; all others are Shiryaev-Roberts sums."""


@dataclass(frozen=True, kw_only=True)
class NumericState:
    """Cells between the reference's values (see `urn`), and the wealth of each bet."""

    hours: tuple[NumberCells, ...]
    """One for each hour of the rhythm; without one, one."""
    reference_n: int
    log_m: Floats = field(default_factory=lambda: np.full(len(_WEIGHTS), NOTHING))
    recent: Floats = field(default_factory=lambda: no_sums(BINS_N + 1))
    """Ranks in each bin, and radii."""
    shapes: Floats = field(default_factory=no_shapes)
    """What shape bets remember (see `shapes`)."""
    purse: Purse = field(default_factory=lambda: full_purse(len(_WEIGHTS)))
    step_n: int = 0
    gained: float = UNKNOWN
    """Most that the values themselves can have brought since the evidence last rested (see `ties`)."""
    log_back: float | None = None
    """That a change is over (see `way_back`)."""
    tilt: Floats | None = None
    """What the change looks like, while its end is being told (see `way_back`)."""

    def __post_init__(self) -> None:
        check_bets(self.log_m, _WEIGHTS)


@register("conformal_numeric")
@dataclass(frozen=True, kw_only=True)
class ConformalNumeric:
    """Ranks of production values bet against being uniform; missing values rank below all others.

    Exact ranks among reference and past (`urn`) are quick and need no radius; but a change that nobody acts on becomes their past. So an
    alarm stays on until its change is over, whatever the evidence does by then (see `way_back`); and a quarter of the stake is on ranks in
    the reference alone, less its radius: what is beyond that fades never. A step is a pane that has records: M <- (M + 1) prod(bets) for
    each of 48 and 19 bets (location, spread, tails, shape; of the one on a shape that nothing is remembered of, M <- prod), alarm when
    their weighted mean reaches 1/alpha. With a rhythm ranks are among the records of the same hour; an hour with hardly a reference row is
    compared with its own records. Evidence that is of the random order of ties, as where all values are equal, is no alarm (see `ties`).
    """

    column: str
    """Subject of the column: "input.age", "output.score"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that the reference is further off than its radius; then the promise is void for the epoch."""
    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.NUMERIC})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with records"
    assumption: ClassVar[str] = (
        "reference rows are independent draws; given the past, a record has the reference's distribution (with a rhythm: that of its hour)"
    )
    cost: ClassVar[str] = "20 logarithms and 256 comparisons a record; state of at most 512 cells (with a rhythm 4,096)"
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
        hours = cells_by_hour(values, reference.columns, self.rhythm, self.delta)
        return NumericState(hours=hours, reference_n=len(values) if any(len(cells.weights) for cells in hours) else 0, gained=0.0)

    def step(self, state: NumericState, data: Increment) -> tuple[NumericState, Verdict]:
        """One closed pane; one without records of the column is no step."""
        values = _ordered(data.columns.get(self.column, np.empty(0)))
        uniforms = rank_uniforms(data.start, state.step_n, len(values), of=f"{self.name} {self.subject}")
        parts = [
            (hour, rows) for hour, rows in increment_by_hour(data, len(values), self.rhythm) if len(rows) and len(state.hours[hour].weights)
        ]
        if parts and state.log_back is not None:
            state = looked_back(
                state, {hour: fallen(state.hours[hour], values[rows], uniforms[1, rows]) for hour, rows in parts}, self.alpha
            )
        hours, exact, log_fixed, sums, more = list(state.hours), [], np.zeros(BETS_N), np.zeros(BINS_N + 1), 0.0
        for hour, rows in parts:
            cells = hours[hour]
            more += gain_of(cells, values[rows])
            hours[hour], ranks, fixed = ranked(cells, values[rows], uniforms[:, rows])
            exact.append(ranks)
            log_fixed = log_fixed if cells.own else log_fixed + log_rank_bets(fixed, cells.radius)
            sums += np.append(rank_counts(fixed), len(rows) * cells.radius)
        if exact:
            after = self._bet(replace(state, hours=tuple(hours)), np.concatenate(exact), log_fixed, sums, more)
            log10_e = log10_mean(after.log_m, _WEIGHTS)
            is_alarm = is_reached(log10_e, self.alpha) and not self.is_of_ties(after)
            state = set_aside(state, after, is_alarm=is_alarm, log10_e=log10_e, alpha=self.alpha)
        return state, self._verdict(state)

    def is_of_ties(self, state: NumericState) -> bool:
        """Whether what evidence there is comes from the random order of equal values."""
        return is_of_ties(state.gained, state.recent, self.alpha)

    def _bet(self, state: NumericState, exact: Floats, log_fixed: Floats, sums: Floats, more: float) -> NumericState:
        log_shapes, shapes = log_shape_bets(exact, state.shapes)
        log_bets = np.concatenate([log_score_bets(exact), log_shapes, log_fixed])
        log_m = restart(np.where(_OF_A_PANE, NOTHING, state.log_m), log_bets, alpha=self.alpha)
        recent = add_sums(state.recent, len(exact), sums, log10_e=log10_mean(log_m, _WEIGHTS), alpha=self.alpha)
        gained = gained_since_rest(state.gained, more, recent)
        spent = spend(state.purse, log_bets)
        return replace(state, log_m=log_m, recent=recent, shapes=shapes, purse=spent, step_n=state.step_n + 1, gained=gained)

    def _verdict(self, state: NumericState) -> Verdict:
        log10_e = log10_mean(state.log_m, _WEIGHTS) if state.step_n else 0.0
        is_alarm = state.log_back is not None
        is_new = is_reached(log10_e, self.alpha)
        n, sums = latest(state.recent, is_alarm=is_alarm and is_new)
        value, low, high = rank_distance(sums[:-1], n, sums[-1] / max(1, n))
        if n == 0:
            outcome, because = Outcome.INSUFFICIENT, why_not_yet(state.reference_n, self.rhythm)
        elif is_alarm:
            rows = f"the {state.reference_n} of the reference"
            from_what = rows if self.rhythm is Rhythm.NONE else f"those of {rows} {self.rhythm.words}"
            outcome, because = Outcome.ALARM, f"the last {n} values are {value:.2f} away from {from_what}"
            because += not_over(state, n)
        elif is_new:
            outcome, because = Outcome.OK, OF_TIES.format(n=n)
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
