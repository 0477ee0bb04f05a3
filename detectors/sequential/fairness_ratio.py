"""One group gets the favourable answer less often than another by more than a ratio allows (disparate impact): an e-process.

The null "p_b >= c p_a" is "p_b = m and p_a <= m / c for some m": bets against these two, and the least over m of their product, as in `gap`
with m / c in place of m + gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import is_reached
from detectors.sequential.gap import Curves, comparisons, curves, grown, log10_gap, no_sums, wide_gaps
from detectors.sequential.mean_bets import CELLS_N, EDGES, log_above, log_below, mean_interval
from detectors.sequential.share import relative_weight
from detectors.types import Eats, EValue, Increment, Kind, Outcome, Verdict

if TYPE_CHECKING:
    from detectors.sequential.gap import Comparisons, GapState
    from detectors.types import Reference

_NAMED_N, _STEPS_N = 3, 512
"""Pairs of groups that are named; ratios that are told apart."""


@register("fairness_ratio")
@dataclass(frozen=True, kw_only=True)
class FairnessRatio:
    """Demographic parity ratio among labelled records: the smallest share of favourable answers of a group over the largest; 1 = alike."""

    by: str
    """Protected column, bare name; or two at once: "age_band & sex"."""
    positive: str
    """The label that counts as the favourable answer."""
    minimum: float = 0.8
    """The ratio that is still allowed; 0.8 is the four-fifths rule."""
    alpha: float = 0.01
    """P(ever a false alarm in an epoch)."""
    min_n: int = 50
    """Pairs that a group needs to be judged."""
    most_weight: float = 1.0
    """The largest weight of a pair, 1 / its least chance to be sampled; a heavier one counts as this."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS})
    evidence: ClassVar[type[EValue]] = EValue
    guarantee: ClassVar[str] = "P(ever a false alarm in an epoch) <= alpha, over all pairs of groups"
    assumption: ClassVar[str] = (
        "given the past, each group's (weighted) rate stays the same; labels come unselected within a group; speaks of labelled records"
    )
    cost: ClassVar[str] = "O(1) a pair of records; a pane: 500 means of each group at ten ratios; state of six sums a group"
    source: ClassVar[str] = (
        "29 CFR 1607.4 D (the four-fifths rule); Chugg et al. 2023, arXiv:2305.17570; Fan, Grama & Liu 2015, arXiv:1311.6273"
    )

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0 or not 0.0 < self.minimum < 1.0:
            raise ValueError(f"alpha and minimum must be in (0, 1), got {self.alpha} and {self.minimum}; 0.01 and 0.8 are usual")
        if self.min_n < 1:
            raise ValueError(f"min_n must be at least 1, got {self.min_n}; 50 is usual")

    @classmethod
    def example(cls) -> Self:
        """For contract tests and documentation."""
        return cls(by="age_band", positive="positive")

    @property
    def subject(self) -> str:
        """By one column."""
        return f"demographic_parity_ratio[by={self.by}]"

    def start(self, reference: Reference) -> GapState:  # noqa: ARG002 (groups are compared with each other)
        """No pairs."""
        return no_sums(1)

    def step(self, state: GapState, data: Increment) -> tuple[GapState, Verdict]:
        """One closed pane's newly labelled pairs; pairs of unknown group do not count."""
        column = data.pairs.groups.get(self.by)
        if column is not None and data.pairs.n:
            weight = relative_weight(data.pairs, self.most_weight)
            is_given = np.asarray(data.pairs.predicted == self.positive, dtype=np.float64)[:, None]
            state = grown(state, column, is_given, np.ones(data.pairs.n) if weight is None else weight)
        of = comparisons(state, self.min_n)
        shares = state.means[sorted({*of.a.tolist()}), 0]
        if len(shares) == 0 or shares.max() <= 0.0:
            return state, self._insufficient(state)
        found = _curves(state, self.minimum)
        log10_e = log10_gap(found, of, 0)
        is_alarm = is_reached(log10_e, self.alpha)
        value = float(shares.min() / shares.max())
        high = max(value, _upper_end(state, of, self.alpha))
        high = min(high, max(value, self.minimum)) if is_alarm else max(high, self.minimum)  # on the right side, whatever the rounding
        wide = wide_gaps(state, found, of, 0, self.alpha) if is_alarm else []
        names = "; ".join(f"{b!r} under {a!r}" for a, b, _ in wide[:_NAMED_N])
        says = "is below" if is_alarm else "gives no evidence of being below"
        where = f" (shown of {len(wide)}: {names})" if wide else ""
        n = int(state.sums[..., 0].sum())
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.ALARM if is_alarm else Outcome.OK,
            evidence=EValue(log10_e=log10_e, alpha=self.alpha),
            value=value,
            low=min(value, _lower_end(state, self.alpha, self.min_n)),
            high=high,
            n=n,
            because=f"{self.subject} ({value:.3g}, at most {high:.3g}) {says} {self.minimum:g}{where}; {n} labelled records{state.aside}",
            limit=self.minimum,
        )

    def _insufficient(self, state: GapState) -> Verdict:
        sizes = ", ".join(f"{g}: {int(n)}" for g, n in zip(state.groups, state.sums[:, 0, 0], strict=True)) or "none"
        few = f"no two groups of {self.by} have {self.min_n} labelled records each, or none has a favourable answer ({sizes}){state.aside}"
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.INSUFFICIENT,
            evidence=EValue(log10_e=0.0, alpha=self.alpha),
            value=0.0,
            low=0.0,
            high=1.0,
            n=int(state.sums[..., 0].sum()),
            because=f"{self.subject}: {few}",
            limit=self.minimum,
        )


def _curves(state: GapState, ratio: float) -> Curves:
    """Of a's bets at m / ratio for the m of b."""
    return Curves(above=log_above(state.sums, np.minimum(1.0, EDGES / ratio)), below=log_below(state.sums, EDGES))


def _upper_end(state: GapState, of: Comparisons, alpha: float) -> float:
    """Smallest ratio that is refuted at alpha (evidence falls with the ratio), in 512ths; 1 when not even "alike" is."""
    low, high, least = 0, _STEPS_N, -math.log10(alpha)
    if log10_gap(_curves(state, 1.0), of, 0) < least:
        return 1.0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if log10_gap(_curves(state, middle / _STEPS_N), of, 0) >= least else (middle, high)
    return high / _STEPS_N


def _lower_end(state: GapState, alpha: float, min_n: int) -> float:
    """No ratio is below this, at any look, with 1 - alpha: by the ends of every rate's confidence sequence."""
    found = curves(state.sums)
    judged = [(g, alpha * 6.0 / (math.pi * (g + 1)) ** 2) for g in range(len(state.groups)) if state.sums[g, 0, 0] >= min_n]
    ends = [mean_interval(found.above[g, 0, :CELLS_N], found.below[g, 0], share) for g, share in judged]
    return min(low for low, _ in ends) / max(1e-9, *(high for _, high in ends)) if ends else 0.0
