"""The labelled part's loss is above the source bound plus a tolerance: an e-process over the whole epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.interval import share_sequence
from detectors.sequential.loss import Loss, source_loss, usable
from detectors.sequential.share import NO_LIMIT, ShareState, limits_at, start_share, step_losses, step_share
from detectors.types import Eats, EValue, Increment, Kind, Outcome, Reference, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from detectors.types import Pairs


def start_risk(
    bound: Pairs, loss: Loss, *, delta: float, tolerance: float, is_restarting: bool, rhythm: Rhythm = Rhythm.NONE
) -> ShareState:
    """Limit = upper bound of the source loss at delta, from rows kept for it alone, plus the tolerance (see `limit_of`)."""
    found = source_loss(bound, loss, (), delta=delta, rhythm=rhythm)
    limit, hours = limit_of(found.upper, loss, tolerance) / found.clip, found.limits(lambda upper: limit_of(upper, loss, tolerance))
    limit = limit if found.n else NO_LIMIT
    return start_share(limit, bound_n=found.n, bound_value=found.upper, is_restarting=is_restarting, clip=found.clip, hours=hours)


def limit_of(upper: float, loss: Loss, tolerance: float) -> float:
    """The bound plus the tolerance: points of a loss in [0, 1]; of one in a unit of its own, a share of the bound."""
    return upper + tolerance if loss.is_bounded else upper * (1.0 + tolerance)


def step_risk(
    state: ShareState, pairs: Pairs, loss: Loss, *, start: datetime, restart_alpha: float | None, most_weight: float
) -> ShareState:
    """The newly labelled pairs of the pane that began at `start`."""
    found = usable(pairs, loss, (), clip=state.clip, most_weight=most_weight, limits=limits_at(state, pairs, start))
    if loss is Loss.ERROR and found.weight is None and found.limits is None:
        return step_share(state, found.x > 0.0, restart_alpha=restart_alpha)
    return step_losses(state, found.x, restart_alpha=restart_alpha, weight=found.weight, limits=found.limits)


def check_risk(alpha: float, delta: float, tolerance: float) -> None:
    """Refuse rates and tolerances that make no sense."""
    check_rates(alpha, delta)
    if not 0.0 <= tolerance < 1.0:
        raise ValueError(f"tolerance must be in [0, 1), got {tolerance}; 0.05 = five errors more in a hundred are still no harm")


def why_no_limit(state: ShareState) -> str:
    """Why there is nothing to bet against."""
    if state.bound_n == 0:
        return "no labelled rows are kept for the bound on the source loss"
    most = f"{state.bound_value:.3g} ({state.bound_n} bound rows) and is clipped at {state.clip:.3g}"
    return f"the source loss may be as high as {most}: no room for a bet above it"


@register("risk")
@dataclass(frozen=True, kw_only=True)
class Risk:
    """Mean over a grid of stakes of prod 1 + s (loss - m), m = U_S + tolerance: at most 1 in the mean while E[loss | past] <= m.

    The evidence is scaled by (alpha - delta)/alpha, so that P(ever log10_e >= -log10 alpha) <= alpha with the bound's own delta included.
    With a rhythm m is that of the record's hour, where bound rows tell hours apart (see `hour_limits`): a night of harder cases is none.
    The interval is a confidence sequence at level alpha. A long good past uses the wealth up: `risk_change` is quick after it.
    """

    alpha: float
    """P(ever a false alarm in an epoch), the bound's delta included."""
    delta: float = 0.005
    """Part of alpha spent on the source bound; less than alpha."""
    tolerance: float = 0.05
    """Extra loss that is still no harm: points of a loss in [0, 1], otherwise a share of the bound."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""
    rhythm: Rhythm = Rhythm.NONE
    """Which hours may have limits of their own."""

    name: ClassVar[str]
    loss: ClassVar[Loss] = Loss.ERROR
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[EValue]] = EValue
    guarantee: ClassVar[str] = "P(ever a false alarm in an epoch) <= alpha, the source bound's delta included"
    assumption: ClassVar[str] = (
        "bound rows are independent draws no training or gate saw; a label's chance to come does not depend on the error (with a rhythm: "
        "the mean at each hour is at most the limit that bound rows of hours like it give)"
    )
    cost: ClassVar[str] = "O(1) a pane; state of 6 numbers and counts"
    source: ClassVar[str] = "Podkopaev & Ramdas 2022, arXiv:2110.06177; Waudby-Smith & Ramdas 2024, arXiv:2010.09686"

    def __post_init__(self) -> None:
        check_risk(self.alpha, self.delta, self.tolerance)
        if self.delta >= self.alpha:
            raise ValueError(f"delta is a part of alpha and must be less, got {self.delta} of {self.alpha}; half of it is usual")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(alpha=0.01, delta=0.005, tolerance=0.05)

    @property
    def subject(self) -> str:
        """The model's risk."""
        return "risk"

    def start(self, reference: Reference) -> ShareState:
        """The limit; without bound rows every verdict is INSUFFICIENT."""
        wanted: dict[str, Any] = {"delta": self.delta, "tolerance": self.tolerance, "rhythm": self.rhythm}
        return start_risk(reference.bound, self.loss, is_restarting=False, **wanted)

    def step(self, state: ShareState, data: Increment) -> tuple[ShareState, Verdict]:
        """One closed pane's newly labelled pairs."""
        state = step_risk(state, data.pairs, self.loss, start=data.start, restart_alpha=None, most_weight=self.most_weight)
        low, high = (state.clip * x for x in share_sequence(state.errors_n, state.n, self.alpha))
        value = state.clip * state.errors_n / state.n if state.n else 0.0
        limit = state.clip * (state.limit if state.hours is None or not state.n else state.fine / state.n)
        log10_e = log10_mean(state.log_m) + math.log10((self.alpha - self.delta) / self.alpha) if state.n else 0.0
        n = math.ceil(state.n)
        figures = f"loss {value:.3f} on {n} labelled records, between {low:.3f} and {high:.3f}"
        if state.limit == NO_LIMIT or state.n == 0:
            outcome, because = Outcome.INSUFFICIENT, why_no_limit(state) if state.limit == NO_LIMIT else "no labelled records yet"
        elif is_reached(log10_e, self.alpha):
            outcome, because = Outcome.ALARM, f"{figures}: above the source bound plus tolerance, {limit:.3f}{state.hours_in_words}"
        else:
            outcome, because = Outcome.OK, f"{figures}: no evidence that it is above {limit:.3f}{state.hours_in_words}"
        evidence = EValue(log10_e=log10_e, alpha=self.alpha)
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=min(low, value),
            high=max(high, value),
            n=n,
            because=because,
            limit=None if state.limit == NO_LIMIT else limit,
        )


@register("risk_value")
@dataclass(frozen=True, kw_only=True)
class RiskValue(Risk):
    """Of numbers: the absolute error, clipped at the largest one of a fifth of the bound rows (the others make the bound), over it."""

    loss: ClassVar[Loss] = Loss.ABSOLUTE_ERROR
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.VALUES})


@register("risk_judged")
@dataclass(frozen=True, kw_only=True)
class RiskJudged(Risk):
    """Of judged answers: 1 less the quality."""

    loss: ClassVar[Loss] = Loss.QUALITY
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.QUALITY})
