"""A metric's floor as a bet: F1, precision, recall and accuracy at a fixed bound are shares of errors among the pairs that count.

F1 = 2 TP / (2 TP + FP + FN), so with s the share of TP among the pairs that are TP, FP or FN: F1 = 2s / (1 + s), and F1 >= f is
s >= f / (2 - f), which is E[2 (1 - f) TP - f (FP + FN)] >= 0. Precision counts the pairs predicted as the label,
recall those that are the label, accuracy all; there the metric is s itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.hour_limits import upper_by_hour
from detectors.sequential.segment import OfSegment
from detectors.sequential.share import (
    NO_LIMIT,
    ShareState,
    e_value_beside,
    limits_at,
    recent_share,
    relative_weight,
    start_share,
    step_losses,
    step_share,
)
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Floor(OfSegment):
    """What the four floors share: an e-detector of "the error share is above what the floor allows".

    Each stake starts anew at every pane that has pairs which count (Shiryaev-Roberts); alarm when the stakes' mean reaches 1/alpha.

    With a rhythm a floor from the bound rows is one of the record's hour, where they tell hours apart (see `hour_limits`). With `minimum`
    it is an absolute promise: the same at all hours.
    """

    alpha: float
    """1 / mean panes between false alarms."""
    minimum: float | None = None
    """The floor. None: derived from `max_drop`."""
    max_drop: float | None = None
    """Floor = lower bound (at delta) of the metric on the bound rows, less this. Ignored when `minimum` is given."""
    delta: float = 0.01
    """Chance that the lower bound on the bound rows fails; not used with `minimum`."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which hours may have limits of their own; not used with `minimum`."""

    name: ClassVar[str]
    metric: ClassVar[str]
    shares: ClassVar[NDArray[np.float64] | None] = None
    """Of each stake in the evidence; None = equal."""
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = (
        "mean run length between false alarms of at least (1 - delta)/alpha panes with labels; delta = 0 with `minimum`"
    )
    assumption: ClassVar[str] = (
        "given the past, the chance of an error among the pairs that count is at most the floor's (with a rhythm: that of its hour); "
        "labels come unselected"
    )
    cost: ClassVar[str] = "O(1) a pane; state of 6 numbers and counts"
    source: ClassVar[str] = "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; ratios of counts are held as means (the module says how)"

    def __post_init__(self) -> None:
        check_rates(self.alpha, self.delta)
        if self.minimum is None and self.max_drop is None:
            raise ValueError(f"{self.metric}: give `minimum` or `max_drop`; max_drop=0.05 = five points below the bound rows")
        for name, value in (("minimum", self.minimum), ("max_drop", self.max_drop)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.05 = five points")

    @property
    def subject(self) -> str:
        """The metric."""
        return self.named(self.metric)

    def counts(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Which pairs count, shape (n,)."""
        raise NotImplementedError

    def errors(self, pairs: Pairs) -> NDArray[np.bool_]:
        """The pairs that count, True = label and answer differ, shape (at most n,)."""
        return np.asarray(pairs.predicted != pairs.label, dtype=np.bool_)[self.counts(pairs)]

    def metric_at(self, success: float) -> float:
        """The metric at a share of successes among the pairs that count."""
        return success

    def success_at(self, metric: float) -> float:
        """The inverse of `metric_at`."""
        return metric

    def start(self, reference: Reference) -> ShareState:
        """The limit on the error share; INSUFFICIENT for good when the bound rows leave no room for a floor."""
        bound = self.kept(reference.bound)
        errors = self.errors(bound)
        n = len(errors)
        if self.minimum is not None or not n:
            return start_share(
                self._limit(self.minimum or 0.0), bound_n=0 if self.minimum is not None else n, bound_value=0.0, is_restarting=True
            )
        rows, x = np.flatnonzero(self.counts(bound)), errors.astype(np.float64)
        upper, hours = upper_by_hour(x, bound, rows, self.rhythm, self.delta)
        own = None if hours is None else hours.limits(lambda most: self._limit(self._floor(most)))
        return start_share(
            self._limit(self._floor(upper)), bound_n=n, bound_value=self.metric_at(1.0 - upper), is_restarting=True, hours=own
        )

    def _floor(self, upper: float) -> float:
        """Of what the error share may be."""
        return self.metric_at(1.0 - upper) - (self.max_drop or 0.0)

    def _limit(self, floor: float) -> float:
        """Of the error share."""
        return 1.0 - self.success_at(floor) if floor > 0.0 else NO_LIMIT

    def step(self, state: ShareState, data: Increment) -> tuple[ShareState, Verdict]:
        """One closed pane's newly labelled pairs; a pane without any that counts is no step."""
        pairs = self.kept(data.pairs)
        weight, limits = relative_weight(pairs, self.most_weight), limits_at(state, pairs, data.start)
        if weight is None and limits is None:
            state = step_share(state, self.errors(pairs), restart_alpha=self.alpha)
        else:
            x = self.errors(pairs).astype(np.float64)
            weight, limits = (None if of is None else of[self.counts(pairs)] for of in (weight, limits))
            state = step_losses(state, x, restart_alpha=self.alpha, weight=weight, limits=limits)
        return state, self._verdict(state)

    def _verdict(self, state: ShareState) -> Verdict:
        log10_e = log10_mean(state.log_m, self.shares) if state.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        share, share_low, share_high, n = recent_share(state, is_alarm=is_alarm)
        value, low, high = (self.metric_at(1.0 - x) for x in (share, share_high, share_low))
        said = self._says(state, n, f"{self.metric} {value:.3f} on the last {n} pairs that count", is_alarm=is_alarm)
        outcome, because = self.sure(state, *said)
        delta = self.delta if self.minimum is None else 0.0
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=delta),
            value=value if n else 0.0,
            low=low if n else 0.0,
            high=high,
            n=n,
            because=because,
            limit=None if state.limit == NO_LIMIT else self.metric_at(1.0 - state.limit_of(is_alarm=is_alarm)),
            e_value=e_value_beside(state, self.shares),
        )

    def _says(self, state: ShareState, n: int, figures: str, *, is_alarm: bool) -> tuple[Outcome, str]:
        if state.limit == NO_LIMIT:
            bound = f"at least {state.bound_value:.3f} on {state.bound_n} bound rows that count"
            return Outcome.INSUFFICIENT, f"{self.metric} is {bound}: too few to set a floor {self.max_drop:g} lower"
        if n == 0:
            return Outcome.INSUFFICIENT, "no labelled records that count yet"
        floor = f"{self.metric_at(1.0 - state.limit_of(is_alarm=is_alarm)):.3f}{state.hours_in_words}"
        if is_alarm:
            return Outcome.ALARM, f"{figures}: below the floor {floor}"
        return Outcome.OK, f"{figures}: no evidence that it is below the floor {floor}"


@dataclass(frozen=True, kw_only=True)
class LabelFloor(Floor):
    """A floor of one label's metric."""

    label: str
    """The class that the metric is about."""

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(label="positive", minimum=0.8, alpha=0.01)

    @property
    def subject(self) -> str:
        """The metric of the label."""
        return self.named(f"{self.metric}[label={self.label}]")
