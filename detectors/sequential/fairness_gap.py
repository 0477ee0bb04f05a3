"""The gap between groups of a protected column is above a maximum: an e-process, shown as a confidence sequence's lower end.

For groups a, b with rates p_a, p_b and "p_a - p_b <= g" as the null: e = (mixture likelihood of a)(mixture likelihood of b) / (largest
likelihood under the null). The mixture over the true rates' likelihood is a martingale of mean 1 and the null's largest likelihood is at
least the true one, so P(ever e >= 1/alpha) <= alpha. Pairs of groups and rates are added with weights fixed by the order in which groups
first appear, at most 1 in all; those with too few pairs add nothing. The lower end is the largest g that is refuted at
alpha: it passes `maximum` exactly when e does.
[Chugg et al., NeurIPS 2023, arXiv:2305.17570, for auditing by betting and what it guarantees]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from detectors.fairness.metric import COUNTED, GAPS
from detectors.registry import register
from detectors.sequential.bets import is_reached
from detectors.sequential.gap import GapState, gaps, log10_gap, lower_end, upper_end, wide_gaps
from detectors.types import Eats, EValue, Increment, Kind, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_GROUPS_N, _NAMED_N = 50, 3


@register("fairness_gap")
@dataclass(frozen=True, kw_only=True)
class FairnessGap:
    """Any gap of rates among labelled records: each rate counts the pairs that it is conditional on, by label or by answer.

    An alarm names the pairs of groups whose gap is above the maximum (e-BH: at most alpha of those named are wrong, on average).
    """

    metric: str = "equalized_odds_difference"
    """fairlearn's definition: the largest difference between two groups, of the larger rate."""
    by: str
    """Protected column, bare name; or two at once: "age_band & sex"."""
    maximum: float = 0.10
    """The gap that is still allowed."""
    alpha: float = 0.01
    """P(ever a false alarm in an epoch)."""
    min_n: int = 50
    """Pairs that a group needs, for each rate, to be judged."""
    positive: str
    """The label that counts as the favourable answer."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.ALARMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS})
    evidence: ClassVar[type[EValue]] = EValue
    guarantee: ClassVar[str] = "P(ever a false alarm in an epoch) <= alpha, over all pairs of groups and rates"
    assumption: ClassVar[str] = (
        "given the past, each group's rate stays the same; labels come unselected within a group; speaks of labelled records"
    )
    cost: ClassVar[str] = "O(1) a pair of records, 40 x groups^2 maximisations a pane; state of counts"
    source: ClassVar[str] = "Chugg et al. 2023, arXiv:2305.17570"

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0 or not 0.0 < self.maximum < 1.0:
            raise ValueError(f"alpha and maximum must be in (0, 1), got {self.alpha} and {self.maximum}; 0.01 and 0.1 are usual")
        if self.metric not in GAPS:
            raise ValueError(f"metric must be one of {', '.join(GAPS)}, got {self.metric!r}")
        if self.min_n < 1:
            raise ValueError(f"min_n must be at least 1, got {self.min_n}; 50 is usual")

    @classmethod
    def example(cls) -> FairnessGap:
        """For contract tests and documentation."""
        return cls(by="age_band", positive="positive", maximum=0.1, alpha=0.01, min_n=50)

    @property
    def subject(self) -> str:
        """The metric and its column."""
        return f"{self.metric}[by={self.by}]"

    def start(self, reference: Reference) -> GapState:  # noqa: ARG002 (fairness needs no reference: groups are compared with each other)
        """No counts."""
        rates_n = len(GAPS[self.metric])
        return GapState(hits=np.zeros((0, rates_n)), counts=np.zeros((0, rates_n)))

    def step(self, state: GapState, data: Increment) -> tuple[GapState, Verdict]:
        """One closed pane's newly labelled pairs; pairs of unknown group do not count."""
        state = self._count(state, data.pairs)
        if len(gaps(state, self.min_n)) == 0:
            return state, self._insufficient(state)
        log10_e = log10_gap(state, self.maximum, self.min_n)
        value = float(max(0.0, gaps(state, self.min_n).max()))
        low = min(value, lower_end(state, self.alpha, self.min_n))
        is_alarm = is_reached(log10_e, self.alpha)
        says = "is above" if is_alarm else "gives no evidence of being above"
        n = int(self._pairs_n(state).sum())
        wide = wide_gaps(state, self.maximum, self.alpha, self.min_n) if is_alarm else []
        names = "; ".join(f"{a!r} over {b!r} in {GAPS[self.metric][r].replace('_', ' ')}" for a, b, r in wide[:_NAMED_N])
        where = f" (shown of {len(wide)}: {names})" if wide else ""
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.ALARM if is_alarm else Outcome.OK,
            evidence=EValue(log10_e=log10_e, alpha=self.alpha),
            value=value,
            low=low,
            high=max(value, upper_end(state, self.alpha, self.min_n)),
            n=n,
            because=f"{self.subject} ({value:.3f}, at least {low:.3f}) {says} {self.maximum:g}{where}; {n} labelled records",
            limit=self.maximum,
        )

    def _count(self, state: GapState, pairs: Pairs) -> GapState:
        column = pairs.groups.get(self.by)
        if column is None:
            return state
        groups = list(state.groups)
        for group in dict.fromkeys(g for g in column.tolist() if g is not None):
            if group not in groups and len(groups) < _GROUPS_N:
                groups.append(group)
        more = len(groups) - len(state.groups)
        hits, counts = (np.vstack([a, np.zeros((more, a.shape[1]))]) for a in (state.hits, state.counts))
        is_given, is_label = pairs.predicted == self.positive, pairs.label == self.positive
        place = np.array(["tn", "fp", "fn", "tp"])[2 * is_label + is_given]  # (n,), which of the four counts each pair adds to
        for i, group in enumerate(groups):
            inside = place[column == group]
            for j, rate in enumerate(GAPS[self.metric]):
                hits[i, j] += np.isin(inside, list(COUNTED[rate].hits)).sum()
                counts[i, j] += np.isin(inside, list(COUNTED[rate].of)).sum()
        return replace(state, groups=tuple(groups), hits=hits, counts=counts)

    def _pairs_n(self, state: GapState) -> Floats:
        return np.asarray(state.counts.sum(axis=1), dtype=np.float64)

    def _insufficient(self, state: GapState) -> Verdict:
        sizes = ", ".join(f"{g}: {int(n)}" for g, n in zip(state.groups, self._pairs_n(state), strict=True)) or "none"
        because = f"no rate has two groups of {self.by} with {self.min_n} labelled records each ({sizes})"
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.INSUFFICIENT,
            evidence=EValue(log10_e=0.0, alpha=self.alpha),
            value=0.0,
            low=0.0,
            high=1.0,
            n=int(self._pairs_n(state).sum()),
            because=because,
            limit=self.maximum,
        )
