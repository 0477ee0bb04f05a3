"""The labelled part's loss is above the source bound plus a tolerance: an e-process over the whole epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from detectors.registry import register
from detectors.sequential.bets import check_rates, is_reached, log10_mean
from detectors.sequential.interval import share_sequence, upper_share
from detectors.sequential.share import NO_LIMIT, ShareState, start_share, step_share
from detectors.types import Eats, EValue, Increment, Kind, Outcome, Reference, Verdict


def start_risk(reference: Reference, *, delta: float, tolerance: float, is_restarting: bool) -> ShareState:
    """Limit = exact upper bound of the source loss at delta, from rows kept for it alone, plus the tolerance."""
    bound = reference.bound
    upper = float(upper_share(int(bound.loss.sum()), bound.n, delta)) if bound.n else 1.0
    return start_share(upper + tolerance if bound.n else NO_LIMIT, bound_n=bound.n, bound_value=upper, is_restarting=is_restarting)


def check_risk(alpha: float, delta: float, tolerance: float) -> None:
    """Refuse rates and tolerances that make no sense."""
    check_rates(alpha, delta)
    if not 0.0 <= tolerance < 1.0:
        raise ValueError(f"tolerance must be in [0, 1), got {tolerance}; 0.05 = five errors more in a hundred are still no harm")


def why_no_limit(state: ShareState) -> str:
    """Why there is nothing to bet against."""
    if state.bound_n == 0:
        return "no labelled rows are kept for the bound on the source loss"
    return f"the source loss may be as high as {state.bound_value:.2f} ({state.bound_n} bound rows): no room for a bet above it"


@register("risk")
@dataclass(frozen=True, kw_only=True)
class Risk:
    """Mean over a grid of stakes of prod 1 + s (loss - m), m = U_S + tolerance: at most 1 in the mean while E[loss | past] <= m.

    The evidence is scaled by (alpha - delta)/alpha, so that P(ever log10_e >= -log10 alpha) <= alpha with the bound's own delta included.
    The interval is a confidence sequence at level alpha. A long good past uses the wealth up: `risk_change` is quick after it.
    """

    alpha: float
    """P(ever a false alarm in an epoch), the bound's delta included."""
    delta: float = 0.005
    """Part of alpha spent on the source bound; less than alpha."""
    tolerance: float = 0.05
    """Extra loss that is still no harm."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[EValue]] = EValue
    guarantee: ClassVar[str] = "P(ever a false alarm in an epoch) <= alpha, the source bound's delta included"
    assumption: ClassVar[str] = (
        "bound rows are independent draws no training or gate saw; a label's chance to come does not depend on the error"
    )
    cost: ClassVar[str] = "O(1) a pane; state of 6 numbers and counts"
    source: ClassVar[str] = "Podkopaev & Ramdas 2022, arXiv:2110.06177; Waudby-Smith & Ramdas 2024, arXiv:2010.09686"

    def __post_init__(self) -> None:
        check_risk(self.alpha, self.delta, self.tolerance)
        if self.delta >= self.alpha:
            raise ValueError(f"delta is a part of alpha and must be less, got {self.delta} of {self.alpha}; half of it is usual")

    @classmethod
    def example(cls) -> Risk:
        """For contract tests and documentation."""
        return cls(alpha=0.01, delta=0.005, tolerance=0.05)

    @property
    def subject(self) -> str:
        """The model's risk."""
        return "risk"

    def start(self, reference: Reference) -> ShareState:
        """The limit; without bound rows every verdict is INSUFFICIENT."""
        return start_risk(reference, delta=self.delta, tolerance=self.tolerance, is_restarting=False)

    def step(self, state: ShareState, data: Increment) -> tuple[ShareState, Verdict]:
        """One closed pane's newly labelled pairs."""
        state = step_share(state, data.pairs.loss > 0.0, restart_alpha=None)
        low, high = share_sequence(state.errors_n, state.n, self.alpha)
        value = state.errors_n / state.n if state.n else 0.0
        log10_e = log10_mean(state.log_m) + math.log10((self.alpha - self.delta) / self.alpha) if state.n else 0.0
        figures = f"loss {value:.3f} on {state.n} labelled records, between {low:.3f} and {high:.3f}"
        if state.limit == NO_LIMIT or state.n == 0:
            outcome, because = Outcome.INSUFFICIENT, why_no_limit(state) if state.limit == NO_LIMIT else "no labelled records yet"
        elif is_reached(log10_e, self.alpha):
            outcome, because = Outcome.ALARM, f"{figures}: above the source bound plus tolerance, {state.limit:.3f}"
        else:
            outcome, because = Outcome.OK, f"{figures}: no evidence that it is above {state.limit:.3f}"
        evidence = EValue(log10_e=log10_e, alpha=self.alpha)
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=min(low, value),
            high=max(high, value),
            n=state.n,
            because=because,
            limit=None if state.limit == NO_LIMIT else state.limit,
        )
