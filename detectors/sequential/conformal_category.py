"""A category column moves away from its reference: exact ranks in order of frequency, and the share of each frequent category."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from detectors.of_reference import of_reference
from detectors.registry import register
from detectors.rhythm import Rhythm, increment_by_hour, why_not_yet
from detectors.sequential.bets import NOTHING, check_rates, is_reached, log10_mean, restart
from detectors.sequential.category_cells import CategoryCells, cells_by_hour, cells_of
from detectors.sequential.category_shares import log_share_bets, share_distance, share_weights
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.scores import SCORE_WEIGHTS, log_score_bets
from detectors.sequential.ties import OF_TIES, UNKNOWN, gained_since_rest, is_of_ties, most_gain
from detectors.sequential.urn import urn_hits, urn_ranks
from detectors.sequential.way_back import looked_back, not_over, set_aside
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CategoryState:
    """What names the cells of all hours, the cells of each, and the wealth of each bet."""

    categories: tuple[str, ...] = of_reference()
    watched: NDArray[np.int64]
    """Cells whose share is bet on: the most frequent, missing, others."""
    hours: tuple[CategoryCells, ...]
    """One for each hour of the rhythm; without one, one."""
    reference_n: int
    stakes: Floats
    """Weight of each bet, adding up to 1: exact ranks, exact shares, shares against the reference's bounds."""
    log_m: Floats
    recent: Floats
    """Of each watched cell: hits, and how many the reference's shares, lower and upper bounds would have brought, shape (4 watched,)."""
    purse: Purse
    step_n: int = 0
    gained: float = UNKNOWN
    """As in `NumericState`."""
    log_back: float | None = None
    """That a change is over (see `way_back`)."""
    tilt: Floats | None = None
    """What the change looks like, while its end is being told (see `way_back`)."""


@register("conformal_category")
@dataclass(frozen=True, kw_only=True)
class ConformalCategory:
    """As for numbers: three quarters of the stake on exact ranks and shares among reference and past, a quarter on the reference alone.

    A third of the reference names and orders the cells, the rest is counted: then the urn is exact. Two fifths of the exact bets are on
    ranks, the others say that one of at most 16 cells is more (less) frequent. The quarter bets the same against exact bounds of each share
    from the reference, so that the evidence of a large change does not fade. An alarm stays on until its change is over (see `way_back`). A
    step is a pane with records: M <- (M + 1) prod(bets), alarm when the weighted mean reaches 1/alpha. With a rhythm all of it is among
    records of the same hour; one without rows learns from its own. Evidence that is of the random order within categories, as where all
    values are one, is no alarm (see `ties`).
    """

    column: str
    """Subject of the column: "segment.channel", "output.label"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that a bound from the reference fails; then the promise is void for the epoch."""
    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.CATEGORY})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with records"
    assumption: ClassVar[str] = (
        "reference rows are independent draws; given the past, a record has the reference's distribution (with a rhythm: that of its hour)"
    )
    cost: ClassVar[str] = "a normal score and 300 comparisons a record; state of at most 1,000 categories (with a rhythm 4,096 cells)"
    source: ClassVar[str] = "Vovk et al. 2021, Retrain or not retrain; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)

    @classmethod
    def example(cls) -> ConformalCategory:
        """For contract tests and documentation."""
        return cls(column="segment.channel", alpha=0.01, delta=0.01)

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> CategoryState:
        """The reference's cells and bounds; without values of the column every verdict is INSUFFICIENT."""
        values = reference.columns.get(self.column, np.empty(0, dtype=object)).tolist()
        categories, watched, hours = cells_by_hour(values, reference.columns, self.rhythm, self.delta)
        stakes = _stakes(hours, len(watched))
        bets_n = len(stakes)
        return CategoryState(
            categories=categories,
            watched=watched,
            hours=hours,
            reference_n=len(values) if any(len(cells.weights) for cells in hours) else 0,
            stakes=stakes,
            log_m=np.full(bets_n, NOTHING),
            recent=no_sums(4 * len(watched)),
            purse=full_purse(bets_n),
            gained=0.0,
        )

    def step(self, state: CategoryState, data: Increment) -> tuple[CategoryState, Verdict]:
        """One closed pane; one without records is no step."""
        values = data.columns.get(self.column, np.empty(0, dtype=object)).tolist()
        at = cells_of(state.categories, values)
        uniforms = rank_uniforms(data.start, state.step_n, len(values), of=f"{self.name} {self.subject}")
        parts = [
            (hour, rows) for hour, rows in increment_by_hour(data, len(values), self.rhythm) if len(rows) and len(state.hours[hour].weights)
        ]
        if parts and state.log_back is not None:
            state = looked_back(state, {hour: at[rows] for hour, rows in parts}, self.alpha)
        hours, found = list(state.hours), []
        for hour, rows in parts:
            hours[hour], seen = _seen(hours[hour], state.watched, at[rows], uniforms[:, rows])
            found.append(seen)
        if found:
            after = self._bet(replace(state, hours=tuple(hours)), found)
            log10_e = log10_mean(after.log_m, after.stakes)
            is_alarm = is_reached(log10_e, self.alpha) and not is_of_ties(after.gained, after.recent, self.alpha)
            state = set_aside(state, after, is_alarm=is_alarm, log10_e=log10_e, alpha=self.alpha)
        return state, self._verdict(state)

    def _bet(self, state: CategoryState, found: list[_Seen]) -> CategoryState:
        ranks = np.concatenate([seen.ranks for seen in found])
        log_shares = np.sum([seen.log_shares for seen in found], axis=0)
        log_bets = np.concatenate([log_score_bets(ranks), log_shares])
        log_m = restart(state.log_m, log_bets, alpha=self.alpha)
        log10_e = log10_mean(log_m, state.stakes)
        sums = np.sum([seen.sums for seen in found], axis=0)
        recent = add_sums(state.recent, len(ranks), sums, log10_e=log10_e, alpha=self.alpha)
        gained = gained_since_rest(state.gained, sum(seen.most_gain for seen in found), recent)
        return replace(state, log_m=log_m, recent=recent, purse=spend(state.purse, log_bets), step_n=state.step_n + 1, gained=gained)

    def _verdict(self, state: CategoryState) -> Verdict:
        log10_e = log10_mean(state.log_m, state.stakes) if state.step_n else 0.0
        is_alarm = state.log_back is not None
        is_new = is_reached(log10_e, self.alpha)
        n, sums = latest(state.recent, is_alarm=is_alarm and is_new)
        hits, expected, least, most = sums.reshape(4, -1)
        before = expected / max(1, n)
        value, low, high, at = share_distance(hits, n, before, least / max(1, n), most / max(1, n))
        if n == 0:
            outcome = Outcome.INSUFFICIENT
            because = why_not_yet(state.reference_n, self.rhythm)
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"{self._moved(state, at, before[at], hits[at] / n)}, in the last {n} values"
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
            e_value=e_value_of(state.purse, state.stakes),
        )

    def _moved(self, state: CategoryState, at: int, before: float, now: float) -> str:
        """A sentence on the watched share that moved most."""
        name = [*state.categories, "missing", "others"][int(state.watched[at])]
        hours = f" {self.rhythm.words}" if self.rhythm is not Rhythm.NONE else ""
        digits = next((n for n in (2, 3, 4, 5) if f"{before:.{n}f}" != f"{now:.{n}f}"), 2)
        return f"the share of {name} moved from {before:.{digits}f}{hours} to {now:.{digits}f}"


class _Seen(NamedTuple):
    """What one hour's records of a pane bring."""

    ranks: Floats
    log_shares: Floats
    sums: Floats
    most_gain: float
    """Most that a bet on the values themselves can gain (see `ties`)."""


def _seen(cells: CategoryCells, watched: NDArray[np.int64], at: NDArray[np.int64], uniforms: Floats) -> tuple[CategoryCells, _Seen]:
    for_rank, for_share = uniforms
    n = len(at)
    ranks, weights = urn_ranks(cells.weights, at, for_rank, own=1.0)
    exact = urn_hits(cells.weights, at, for_share, watched, cells.chances)
    counts = np.bincount(at, minlength=len(cells.shares)).astype(np.float64)
    hits = counts[watched]
    log_shares = np.concatenate([log_share_bets(exact, n, cells.chances, cells.chances), log_share_bets(hits, n, cells.low, cells.high)])
    before = cells.shares if cells.reference_n else (cells.weights + cells.shares) / (cells.weights.sum() + 1.0)
    sums = np.concatenate([hits, n * before[watched], n * cells.low, n * cells.high])
    chances = np.minimum(cells.shares, (cells.weights + 1.0) / (cells.weights.sum() + 1.0))  # by the reference or by the urn
    return replace(cells, weights=weights), _Seen(ranks, log_shares, sums, most_gain(counts, chances))


def _stakes(hours: tuple[CategoryCells, ...], watched_n: int) -> Floats:
    """Of each bet; fixed by the rows that named the cells."""
    known = [cells.chances for cells in hours if len(cells.chances)]
    shares = share_weights(np.mean(known, axis=0) if known else np.ones(watched_n))
    return np.concatenate([0.3 * SCORE_WEIGHTS, 0.45 * shares, 0.25 * shares])
