"""A category column moves away from its reference: exact ranks in order of frequency, and the share of each frequent category."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import NOTHING, check_rates, is_reached, log10_mean, restart
from detectors.sequential.category_shares import log_share_bets, share_bets_n, share_distance
from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.purse import Purse, e_value_of, full_purse, spend
from detectors.sequential.ranks import rank_uniforms
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.sequential.scores import SCORE_WEIGHTS, log_score_bets
from detectors.sequential.urn import urn_hits, urn_ranks
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CATEGORIES_N = 1000
_WATCHED_N = 14
_NAMING_STRIDE = 3


@dataclass(frozen=True, kw_only=True)
class CategoryState:
    """Cells (categories by frequency in a third of the reference, then missing, then all others) and the wealth of each bet."""

    categories: tuple[str, ...]
    shares: Floats
    """Of the other two thirds, shape (categories + 2,)."""
    weights: Floats
    """Their counts with all that came since (see `urn`)."""
    watched: NDArray[np.int64]
    """Cells whose share is bet on: the most frequent, missing, others."""
    chances: Floats
    """Share of each watched cell in the third that named them: what its exact hits are bet against."""
    low: Floats
    """Lower bound of each watched share, from the two thirds alone."""
    high: Floats
    reference_n: int
    log_m: Floats
    recent: Floats
    purse: Purse
    step_n: int = 0


@register("conformal_category")
@dataclass(frozen=True, kw_only=True)
class ConformalCategory:
    """As for numbers: three quarters of the stake on exact ranks and shares among reference and past, a quarter on the reference alone.

    A third of the reference names and orders the cells, the rest is counted: then the urn is exact. Half of the exact bets are on ranks,
    half say that one of at most 16 cells is more (less) frequent. The quarter bets the same against exact bounds of each share from the
    reference, so that a change that nobody acts on stays in alarm. A step is a pane with records: M <- (M + 1) prod(bets), alarm when the
    weighted mean reaches 1/alpha.
    """

    column: str
    """Subject of the column: "segment.channel", "output.label"."""
    alpha: float
    """1 / mean panes between false alarms."""
    delta: float = 0.01
    """Chance that a bound from the reference fails; then the promise is void for the epoch."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.CATEGORY})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with records"
    assumption: ClassVar[str] = "reference rows are independent draws; given the past, a record has the reference's distribution"
    cost: ClassVar[str] = "a normal score and 300 comparisons a record; state of at most 1,000 categories"
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
        seen = Counter(v for v in values[::_NAMING_STRIDE] if v is not None)
        kept = tuple(sorted(seen, key=lambda c: (-seen[c], c))[:_CATEGORIES_N])
        named = np.bincount(_cells(kept, values[::_NAMING_STRIDE]), minlength=len(kept) + 2)
        counted = [v for at, v in enumerate(values) if at % _NAMING_STRIDE]
        counts = np.bincount(_cells(kept, counted), minlength=len(kept) + 2).astype(np.float64)
        watched = np.unique(np.append(np.arange(min(len(kept), _WATCHED_N)), [len(kept), len(kept) + 1]))
        n, each = max(1, len(counted)), self.delta / (2.0 * len(watched))
        return CategoryState(
            categories=kept,
            shares=counts / n,
            weights=counts,
            watched=watched,
            chances=np.minimum((named[watched] + 1.0) / (named.sum() + 1.0), 0.999),
            low=lower_share(counts[watched], n, each),
            high=upper_share(counts[watched], n, each),
            reference_n=len(counted),
            log_m=np.full(len(_stakes(len(watched))), NOTHING),
            recent=no_sums(len(watched)),
            purse=full_purse(len(_stakes(len(watched)))),
        )

    def step(self, state: CategoryState, data: Increment) -> tuple[CategoryState, Verdict]:
        """One closed pane; one without records is no step."""
        values = data.columns.get(self.column, np.empty(0, dtype=object)).tolist()
        if values and state.reference_n:
            cells, n = _cells(state.categories, values), len(values)
            for_rank, for_share = rank_uniforms(data.start, state.step_n, n)
            ranks, weights = urn_ranks(state.weights, cells, for_rank, own=1.0)
            exact = urn_hits(state.weights, cells, for_share, state.watched, state.chances)
            hits = np.bincount(cells, minlength=len(state.shares))[state.watched].astype(np.float64)
            by_share = (log_share_bets(exact, n, state.chances, state.chances), log_share_bets(hits, n, state.low, state.high))
            log_bets = np.concatenate([log_score_bets(ranks), *by_share])
            log_m = restart(state.log_m, log_bets, alpha=self.alpha)
            recent = add_sums(state.recent, n, hits, log10_e=log10_mean(log_m, _stakes(len(hits))), alpha=self.alpha)
            purse = spend(state.purse, log_bets)
            state = replace(state, weights=weights, log_m=log_m, recent=recent, purse=purse, step_n=state.step_n + 1)
        return state, self._verdict(state)

    def _verdict(self, state: CategoryState) -> Verdict:
        log10_e = log10_mean(state.log_m, _stakes(len(state.watched))) if state.step_n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        n, hits = latest(state.recent, is_alarm=is_alarm)
        value, low, high, at = share_distance(hits, n, state.shares[state.watched], state.low, state.high)
        if n == 0:
            outcome = Outcome.INSUFFICIENT
            because = "no production values yet" if state.reference_n else "the reference has no values of this column"
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"{self._moved(state, hits / n, at)}, in the last {n} values"
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
            e_value=e_value_of(state.purse, _stakes(len(state.watched))),
        )

    def _moved(self, state: CategoryState, shares: Floats, at: int) -> str:
        """A sentence on the watched share that moved most."""
        cell = int(state.watched[at])
        name = [*state.categories, "missing", "others"][cell]
        return f"the share of {name} moved from {state.shares[cell]:.2f} to {shares[at]:.2f}"


def _cells(categories: tuple[str, ...], values: list[str | None]) -> NDArray[np.int64]:
    """Cell of each value: its category, missing, or "others"."""
    index: dict[str | None, int] = {c: i for i, c in enumerate(categories)} | {None: len(categories)}
    return np.fromiter((index.get(v, len(categories) + 1) for v in values), dtype=np.int64, count=len(values))


def _stakes(watched_n: int) -> Floats:
    """Weight of each bet, adding up to 1: exact ranks, exact shares, shares against the reference's bounds."""
    bets_n = share_bets_n(watched_n)
    return np.concatenate([0.375 * SCORE_WEIGHTS, np.full(bets_n, 0.375 / bets_n), np.full(bets_n, 0.25 / bets_n)])
