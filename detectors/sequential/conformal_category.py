"""A category column moves away from its reference: ranks in order of frequency, and the share of each frequent category."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import NOTHING, check_rates, is_reached, log10_mean, restart
from detectors.sequential.category_shares import half_and_half, log_share_bets, share_bets_n, share_distance
from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.ranks import BETS_N, log_rank_bets, rank_uniforms, reference_radius
from detectors.sequential.recent import add_sums, latest, no_sums
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CATEGORIES_N = 1000
_WATCHED_N = 14


@dataclass(frozen=True, kw_only=True)
class CategoryState:
    """The reference's shares (its categories by frequency, then missing, then all others) and the wealth of each bet."""

    categories: tuple[str, ...]
    shares: Floats
    """Shape (categories + 2,)."""
    watched: NDArray[np.int64]
    """Cells whose share is bet on: the most frequent, missing, others."""
    low: Floats
    """Lower bound of each watched share."""
    high: Floats
    reference_n: int
    radius: float
    log_m: Floats
    recent: Floats
    step_n: int = 0


@register("conformal_category")
@dataclass(frozen=True, kw_only=True)
class ConformalCategory:
    """Half the stake on randomised ranks (as for numbers, cells ordered by frequency, unseen ones last), half on shares.

    A share bet says that one of at most 16 cells is more (less) frequent than its exact upper (lower) bound from the reference; ranks take
    delta/2, all share bounds together delta/2. A step is a pane with records: M <- (M + 1) prod(bets), alarm when the weighted mean reaches
    1/alpha.
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
    cost: ClassVar[str] = "19 logarithms a record; state of at most 1,000 categories"
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
        seen = Counter(v for v in values if v is not None)
        kept = tuple(sorted(seen, key=lambda c: (-seen[c], c))[:_CATEGORIES_N])
        counts = _count(kept, values)
        watched = np.unique(np.append(np.arange(min(len(kept), _WATCHED_N)), [len(kept), len(kept) + 1]))
        n, each = max(1, len(values)), self.delta / (4.0 * len(watched))
        return CategoryState(
            categories=kept,
            shares=counts / n,
            watched=watched,
            low=lower_share(counts[watched], n, each),
            high=upper_share(counts[watched], n, each),
            reference_n=len(values),
            radius=reference_radius(n, self.delta / 2.0),
            log_m=np.full(BETS_N + share_bets_n(len(watched)), NOTHING),
            recent=no_sums(len(watched)),
        )

    def step(self, state: CategoryState, data: Increment) -> tuple[CategoryState, Verdict]:
        """One closed pane; one without records is no step."""
        values = data.columns.get(self.column, np.empty(0, dtype=object)).tolist()
        if values and state.reference_n:
            cells = _cells(state.categories, values)
            u = (np.cumsum(state.shares) - state.shares)[cells] + state.shares[cells] * rank_uniforms(data.start, state.step_n, len(cells))
            hits = np.bincount(cells, minlength=len(state.shares))[state.watched].astype(np.float64)
            log_bets = np.concatenate(
                [log_rank_bets(np.minimum(u, 1.0), state.radius), log_share_bets(hits, len(cells), state.low, state.high)]
            )
            log_m = restart(state.log_m, log_bets, alpha=self.alpha)
            recent = add_sums(state.recent, len(cells), hits, log10_e=log10_mean(log_m, half_and_half(len(log_m))), alpha=self.alpha)
            state = replace(state, log_m=log_m, recent=recent, step_n=state.step_n + 1)
        return state, self._verdict(state)

    def _verdict(self, state: CategoryState) -> Verdict:
        log10_e = log10_mean(state.log_m, half_and_half(len(state.log_m))) if state.step_n else 0.0
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


def _count(categories: tuple[str, ...], values: list[str | None]) -> Floats:
    return np.bincount(_cells(categories, values), minlength=len(categories) + 2).astype(np.float64)
