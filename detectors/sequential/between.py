"""The gap between groups of a protected column is above a maximum: an e-process, shown as a confidence sequence's lower end.

What the alarms by groups have in common. Pairs of groups and figures are added with weights fixed by the order in which groups first
appear, at most 1 in all; those with too few pairs add nothing. The lower end is the largest gap that is refuted at alpha: it passes
`maximum` exactly when the evidence passes 1/alpha. [Chugg et al., NeurIPS 2023, arXiv:2305.17570, for auditing by betting and what it
guarantees; the bets are those of `mean_bets`, which use every pair however unequal the groups are, and weigh]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.sequential.bets import is_reached
from detectors.sequential.gap import comparisons, curves, differences, grown, log10_gap, lower_end, steps_of, upper_end, wide_gaps
from detectors.sequential.share import relative_weight
from detectors.types import EValue, Increment, Kind, Outcome, Pairs, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sequential.gap import GapState

    Floats = NDArray[np.float64]

_NAMED_N = 3


@dataclass(frozen=True, kw_only=True)
class Between:
    """An alarm names the pairs of groups whose gap is above the maximum (e-BH: at most alpha of those named are wrong, on average)."""

    by: str
    """Protected column, bare name; or two at once: "age_band & sex"."""
    maximum: float = 0.10
    """The gap that is still allowed."""
    alpha: float = 0.01
    """P(ever a false alarm in an epoch)."""
    min_n: int = 50
    """Pairs that a group needs, for each figure, to be judged."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    evidence: ClassVar[type[EValue]] = EValue
    guarantee: ClassVar[str] = "P(ever a false alarm in an epoch) <= alpha, over all pairs of groups and figures"
    assumption: ClassVar[str] = (
        "given the past, each group's (weighted) figure stays the same; labels come unselected within a group; speaks of labelled records"
    )
    cost: ClassVar[str] = "O(1) a pair of records; a pane: 500 means of each group, ten gaps of each two groups; state of six sums a group"
    source: ClassVar[str] = "Chugg et al. 2023, arXiv:2305.17570; Fan, Grama & Liu 2015, arXiv:1311.6273"

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0 or not 0.0 < self.maximum < 1.0:
            raise ValueError(f"alpha and maximum must be in (0, 1), got {self.alpha} and {self.maximum}; 0.01 and 0.1 are usual")
        if self.min_n < 1:
            raise ValueError(f"min_n must be at least 1, got {self.min_n}; 50 is usual")

    @property
    def subject(self) -> str:
        """The metric and its column."""
        raise NotImplementedError

    @property
    def figures(self) -> tuple[str, ...]:
        """What is compared, in words."""
        raise NotImplementedError

    def values(self, pairs: Pairs) -> Floats:
        """Of each pair and figure, in the figure's own unit, (n, figures); NaN = it does not count."""
        raise NotImplementedError

    def limit(self, state: GapState) -> float:  # noqa: ARG002 (most need no range)
        """The maximum in the figure's own unit."""
        return self.maximum

    def step(self, state: GapState, data: Increment) -> tuple[GapState, Verdict]:
        """One closed pane's newly labelled pairs; pairs of unknown group do not count."""
        column = data.pairs.groups.get(self.by)
        if column is not None and data.pairs.n and state.unit > 0.0:
            weight = relative_weight(data.pairs, self.most_weight)
            x = np.clip((self.values(data.pairs) - state.low) / state.unit, 0.0, 1.0)
            state = grown(state, column, x, np.ones(data.pairs.n) if weight is None else weight)
        of = comparisons(state, self.min_n)
        if len(of.a) == 0:
            return state, self._insufficient(state)
        limit, found = self.limit(state), curves(state.sums)
        steps = steps_of(limit / state.unit)
        log10_e = log10_gap(found, of, steps)
        value = state.unit * float(max(0.0, differences(state, of).max()))
        is_alarm = is_reached(log10_e, self.alpha)
        low = min(value, state.unit * lower_end(found, of, self.alpha))
        low = max(low, min(value, limit)) if is_alarm else min(low, limit)  # on the right side of it, whatever the rounding
        says = "is above" if is_alarm else "gives no evidence of being above"
        wide = wide_gaps(state, found, of, steps, self.alpha) if is_alarm else []
        names = "; ".join(f"{a!r} over {b!r} in {self.figures[r]}" for a, b, r in wide[:_NAMED_N])
        where = f" (shown of {len(wide)}: {names})" if wide else ""
        n = int(_pairs_n(state).sum())
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.ALARM if is_alarm else Outcome.OK,
            evidence=EValue(log10_e=log10_e, alpha=self.alpha),
            value=value,
            low=low,
            high=max(value, state.unit * upper_end(state, found, self.alpha, self.min_n)),
            n=n,
            because=f"{self.subject} ({value:.3g}, at least {low:.3g}) {says} {limit:g}{where}; {n} labelled records{state.aside}",
            limit=limit,
        )

    def _insufficient(self, state: GapState) -> Verdict:
        sizes = ", ".join(f"{g}: {int(n)}" for g, n in zip(state.groups, _pairs_n(state), strict=True)) or "none"
        because = f"{self.subject}: no two groups of {self.by} have {self.min_n} labelled records each that count ({sizes}){state.aside}"
        if state.unit == 0.0:
            because = f"{self.subject}: the reference has no range of answers to compare with"
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.INSUFFICIENT,
            evidence=EValue(log10_e=0.0, alpha=self.alpha),
            value=0.0,
            low=0.0,
            high=max(1.0, state.unit),
            n=int(_pairs_n(state).sum()),
            because=because,
            limit=self.limit(state),
        )


def _pairs_n(state: GapState) -> Floats:
    """Of each group, over its figures (which may count some pairs more than once)."""
    return np.asarray(state.sums[..., 0].sum(axis=1), dtype=np.float64)
