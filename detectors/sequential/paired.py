"""Old and new version on the same labelled records, after a promotion: roll back, keep, or go on watching. Valid at every look.

Two bets on d = loss_new - loss_old in [-1, 1], in the order in which labels arrive, each record once:

- worse: mean over a fixed grid of prod 1 + s d; its mean is at most 1 while E[d | past] <= 0, so P(ever >= 1/alpha) <= alpha.
- not worse: mean over the grid of prod 1 + s (margin - d); at most 1 while E[d | past] >= margin; same bound.

The first of the two to reach 1/alpha settles the matter for good. [Lindon et al., KDD 2022, arXiv:2205.14762, for a canary that may be
looked at all the time; the bets: Waudby-Smith & Ramdas 2024, arXiv:2010.09686] Assumption: the labels that arrive do not depend on which
version is better, given the past. Cost: O(1) a record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.bets import log10_mean
from detectors.sequential.interval import MeanSequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])


class PairedOutcome(StrEnum):
    """What the watch knows."""

    WORSE = "worse"
    """The new version loses more, at level alpha: roll back."""
    NOT_WORSE = "not_worse"
    """The new version loses at most `margin` more, at level alpha: keep."""
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class PairedState:
    """Sums over all pairs so far; flat, so that the ledger can store it."""

    log_worse: Floats = field(default_factory=lambda: np.zeros(len(_STAKES)))
    log_not_worse: Floats = field(default_factory=lambda: np.zeros(len(_STAKES)))
    outcome: str = PairedOutcome.UNDECIDED.value
    n: int = 0
    total: float = 0.0
    """Sum of (d + 1) / 2, and the other sums of `MeanSequence`."""
    spread: float = 0.0
    weight: float = 0.0
    weighted: float = 0.0
    penalty: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedVerdict:
    """What the pairs so far say."""

    outcome: PairedOutcome
    log10_e_worse: float
    log10_e_not_worse: float
    mean: float
    """Mean of d; 0 without data."""
    low: float
    """Lower end of its confidence sequence at level alpha, in [-1, 1]."""
    high: float
    n: int
    because: str


def start_paired() -> PairedState:
    """Before any pair."""
    return PairedState()


def step_paired(state: PairedState, d: Floats, *, alpha: float, margin: float) -> tuple[PairedState, PairedVerdict]:
    """The next pairs' differences d, shape (n,), in order of arrival. alpha and margin must stay the same for a state.

    Raises:
        ValueError: a d outside [-1, 1], alpha outside (0, 1), or margin outside (0, 1).
    """
    if not 0.0 < alpha < 1.0 or not 0.0 < margin < 1.0:
        raise ValueError(f"alpha and margin must be in (0, 1), got {alpha} and {margin}; 0.05 is usual for both")
    d = np.asarray(d, dtype=np.float64)
    if not bool(np.all(np.abs(d) <= 1.0)):
        raise ValueError("differences of losses must be in [-1, 1]; scale losses to [0, 1] first")
    worse = state.log_worse + np.cumsum(np.log1p(np.outer(d, _STAKES)), axis=0)
    not_worse = state.log_not_worse + np.cumsum(np.log1p(np.outer(margin - d, _STAKES)), axis=0)
    sums = MeanSequence(
        alpha=alpha,
        n=state.n,
        total=state.total,
        spread=state.spread,
        weight=state.weight,
        weighted=state.weighted,
        penalty=state.penalty,
    ).add((d + 1.0) / 2.0)
    new = PairedState(
        log_worse=worse[-1] if len(d) else state.log_worse,
        log_not_worse=not_worse[-1] if len(d) else state.log_not_worse,
        outcome=_settled(state.outcome, worse, not_worse, alpha),
        n=sums.n,
        total=sums.total,
        spread=sums.spread,
        weight=sums.weight,
        weighted=sums.weighted,
        penalty=sums.penalty,
    )
    return new, _verdict(new, sums, margin)


def _settled(outcome: str, worse: Floats, not_worse: Floats, alpha: float) -> str:
    """Whichever bet reached 1/alpha first, record by record; "worse" when both do at the same one (the careful side)."""
    if outcome != PairedOutcome.UNDECIDED.value or len(worse) == 0:
        return outcome
    least = math.log(len(_STAKES) / alpha)
    first = [_first(np.logaddexp.reduce(log, axis=1) >= least) for log in (worse, not_worse)]
    if min(first) == len(worse):
        return outcome
    return PairedOutcome.WORSE.value if first[0] <= first[1] else PairedOutcome.NOT_WORSE.value


def _first(reached: NDArray[np.bool_]) -> int:
    return int(np.argmax(reached)) if reached.any() else len(reached)


def _verdict(state: PairedState, sums: MeanSequence, margin: float) -> PairedVerdict:
    low, high = (2.0 * x - 1.0 for x in sums.interval())
    mean = 2.0 * sums.total / sums.n - 1.0 if sums.n else 0.0
    outcome = PairedOutcome(state.outcome)
    says = {
        PairedOutcome.WORSE: "the new version loses more than the old one on the same records",
        PairedOutcome.NOT_WORSE: f"the new version loses at most {margin:g} more than the old one on the same records",
        PairedOutcome.UNDECIDED: "not enough evidence yet for either side",
    }[outcome]
    return PairedVerdict(
        outcome=outcome,
        log10_e_worse=log10_mean(state.log_worse),
        log10_e_not_worse=log10_mean(state.log_not_worse),
        mean=mean,
        low=min(low, mean),
        high=max(high, mean),
        n=sums.n,
        because=f"{says} (mean difference {mean:+.3f}, between {low:+.3f} and {high:+.3f}, {sums.n} records)",
    )
