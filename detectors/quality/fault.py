"""What all faults of data share: a share of trials that is fine by the reference, looked at in a window and bet on in increments."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.interval import lower_share, upper_share
from detectors.sequential.share import NO_LIMIT, ShareState, e_value_beside, recent_share, start_share, step_counts
from detectors.types import Eats, EDetectorValue, Increment, Kind, Outcome, PValue, Reference, Score, Verdict, Window

if TYPE_CHECKING:
    from typing import Any

_NO_CONTENTS = np.empty(0, dtype=np.int64)


class Trials(NamedTuple):
    """k of n trials have the fault."""

    k: int
    n: int
    error: float = 0.0
    """How far k / n may be off because of a sketch."""
    tail: NDArray[np.int64] = _NO_CONTENTS
    """What the next increment needs of this one, where single records are no trials."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the reference says of a fault."""

    bound: float
    """Upper bound of the fault's share, wrong with probability <= delta; NO_LIMIT: nothing can be said."""
    n: int
    """Trials behind it."""
    is_numeric: bool = False
    low: float = 0.0
    """Of the range that is fine."""
    high: float = 0.0
    categories: tuple[str, ...] = ()
    """Those that are known."""


class Says(NamedTuple):
    """What a verdict is made of."""

    outcome: Outcome
    figure: tuple[float, float, float]
    """Value and interval."""
    n: int
    because: str


_NOTHING = (0.0, 0.0, 1.0)
UNKNOWN = Known(bound=NO_LIMIT, n=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RiseState:
    """What the reference says, the wealth, and what is left of the last pane."""

    known: Known
    share: ShareState
    tail: NDArray[np.int64] = field(default_factory=lambda: _NO_CONTENTS)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of one subject. Fine is a share up to the reference's upper bound plus `tolerance`."""

    tolerance: float = 0.01
    """Share above the reference's bound that is still fine."""
    delta: float = 0.01
    """Chance that the bound from the reference fails."""

    name: ClassVar[str]
    noun: ClassVar[str]
    """What is counted, for a sentence: "values are missing"."""
    eats: ClassVar[frozenset[Eats]]
    trial: ClassVar[str] = "values"
    cost: ClassVar[str] = "one look at the values of a pane; O(1) for a window"

    @property
    def subject(self) -> str:
        """The column."""
        return str(getattr(self, "column", ""))

    def known(self, reference: Reference) -> Known:
        """What is fine."""
        raise NotImplementedError

    def in_window(self, known: Known, window: Window) -> Trials:
        """Of a window's sketches."""
        raise NotImplementedError

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:
        """Of a pane's records; `tail`: what the last pane left."""
        raise NotImplementedError

    def limit(self, known: Known) -> float:
        """The share that is fine; NO_LIMIT when none could be set."""
        limit = known.bound + self.tolerance
        return limit if known.bound != NO_LIMIT and limit < 1.0 else NO_LIMIT

    def why_no_limit(self, known: Known) -> str:
        """Why nothing can be said."""
        if known.n == 0:
            return "the reference does not have it"
        return f"up to {known.bound:.1%} of the reference's {known.n} {self.trial} may be so: no limit can be set"

    def _check(self) -> None:
        for name, value in (("tolerance", self.tolerance), ("delta", self.delta)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} must be in (0, 1), got {value}; 0.01 = one in a hundred")

    def _verdict(self, says: Says, evidence: Score | EDetectorValue, limit: float) -> Verdict:
        value, low, high = says.figure
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=says.outcome,
            evidence=evidence,
            value=value,
            low=low,
            high=high,
            n=says.n,
            because=f"{self.subject}: {says.because}",
            limit=None if limit == NO_LIMIT else limit,
        )


@dataclass(frozen=True, kw_only=True)
class Share(Fault):
    """The share in a window with its exact interval. Alarm: the lower end is above what is fine."""

    alpha: float = 0.01
    """The interval holds with 1 - alpha."""
    min_n: int = 30
    """Fewer trials in the window: insufficient."""

    kind: ClassVar[Kind] = Kind.INFORMS
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with 1 - alpha for any n; the limit fails with delta"
    assumption: ClassVar[str] = "records independent, of the window and of the reference"
    source: ClassVar[str] = "Clopper & Pearson 1934"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        PValue(p=1.0, alpha=self.alpha)
        self._check()

    def start(self, reference: Reference) -> Known:
        """What is fine."""
        return self.known(reference)

    def step(self, state: Known, data: Window) -> tuple[Known, Verdict]:
        """One look at a window."""
        k, n, error, _ = self.in_window(state, data)
        limit = self.limit(state)
        if limit == NO_LIMIT or n < self.min_n:
            why = self.why_no_limit(state) if limit == NO_LIMIT else f"{n} {self.trial} in the window; {self.min_n} are needed"
            says = Says(Outcome.INSUFFICIENT, _NOTHING, n, why)
            return state, self._verdict(says, Score(distance=0.0, limit=max(0.0, limit)), limit)
        value = k / n
        low = max(0.0, float(lower_share(k, n, self.alpha / 2.0)) - error)
        high = min(1.0, float(upper_share(k, n, self.alpha / 2.0)) + error)
        is_alarm = low > limit
        because = (
            f"{value:.2%} of {n} {self.trial} {self.noun}, between {low:.2%} and {high:.2%}; "
            f"{'more than' if is_alarm else 'no proof of more than'} {limit:.2%}, the reference's bound plus tolerance"
        )
        says = Says(Outcome.ALARM if is_alarm else Outcome.OK, (value, low, high), n, because)
        return state, self._verdict(says, Score(distance=value, limit=limit), limit)


@dataclass(frozen=True, kw_only=True)
class Rise(Fault):
    """An e-detector of "the share is above what is fine": M <- (M + 1) prod(bets) at every pane with trials (Shiryaev-Roberts).

    Each bet is on one trial, with a stake fixed before; alarm when the stakes' mean reaches 1/alpha.
    """

    alpha: float
    """1 / mean panes between false alarms."""

    kind: ClassVar[Kind] = Kind.ALARMS
    evidence: ClassVar[type[EDetectorValue]] = EDetectorValue
    guarantee: ClassVar[str] = "mean run length between false alarms of at least (1 - delta)/alpha panes with records"
    assumption: ClassVar[str] = (
        "reference rows are independent draws; given the past, a record has the fault at most as often as the limit says"
    )
    source: ClassVar[str] = "Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532; Clopper & Pearson 1934 (bound)"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first pane."""
        check_rates(self.alpha, self.delta)
        self._check()

    def start(self, reference: Reference) -> RiseState:
        """What is fine; without a limit every verdict is INSUFFICIENT."""
        known = self.known(reference)
        share = start_share(self.limit(known), bound_n=known.n, bound_value=max(0.0, known.bound), is_restarting=True)
        return RiseState(known=known, share=share)

    def bet(self, state: RiseState, data: Increment) -> RiseState:
        """On a pane's trials."""
        k, n, _, tail = self.in_increment(state.known, data, state.tail)
        return replace(state, share=step_counts(state.share, n, k, restart_alpha=self.alpha), tail=tail)

    def held_to(self, state: RiseState, *, is_alarm: bool) -> tuple[float, str]:  # noqa: ARG002 (of one limit for all)
        """(limit of the latest trials, how a sentence about it goes on)."""
        return state.share.limit, ""

    def step(self, state: RiseState, data: Increment) -> tuple[RiseState, Verdict]:
        """One closed pane; one without trials is no step."""
        state = self.bet(state, data)
        share = state.share
        log10_e = log10_mean(share.log_m) if share.n else 0.0
        is_alarm = is_reached(log10_e, self.alpha)
        limit, where = self.held_to(state, is_alarm=is_alarm)
        value, low, high, recent_n = recent_share(share, is_alarm=is_alarm)
        figures = f"{value:.2%} of the last {recent_n} {self.trial} {self.noun}, between {low:.2%} and {high:.2%}"
        if limit == NO_LIMIT or recent_n == 0:
            outcome, because = Outcome.INSUFFICIENT, self.why_no_limit(state.known) if limit == NO_LIMIT else f"no {self.trial} yet{where}"
        elif is_alarm:
            outcome, because = Outcome.ALARM, f"{figures}: above {limit:.2%}, the reference's bound plus tolerance{where}"
        else:
            outcome, because = Outcome.OK, f"{figures}: no evidence that it rose above {limit:.2%}{where}"
        evidence = EDetectorValue(log10_e=log10_e, alpha=self.alpha, delta=self.delta)
        verdict = self._verdict(Says(outcome, (value, low, high), recent_n, because), evidence, limit)
        return state, replace(verdict, e_value=e_value_beside(share))


def values_of(known: Known, data: Increment, column: str) -> NDArray[Any]:
    """A pane's values, shape (n,); none when the column is not there."""
    return data.columns.get(column, np.empty(0, dtype=np.float64 if known.is_numeric else object))
