"""The gap between groups of a protected column is above a maximum: an e-process, shown as a confidence sequence's lower end.

For groups a, b with rates p_a, p_b and "p_a - p_b <= g" as the null: e = (mixture likelihood of a)(mixture likelihood of b) / (largest
likelihood under the null). The mixture over the true rates' likelihood is a martingale of mean 1 and the null's largest likelihood is at
least the true one, so P(ever e >= 1/alpha) <= alpha. Pairs of groups and rates are added with weights fixed by the order in which groups
first appear, at most 1 in all; those with too few pairs add nothing. The lower end is the largest g that is refuted at
alpha: it passes `maximum` exactly when e does.
[Chugg et al., NeurIPS 2023, arXiv:2305.17570, for auditing by betting and what it guarantees]
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from detectors.registry import register
from detectors.sequential.bets import is_reached, log10_mean
from detectors.sequential.interval import log_likelihood, log_mixture
from detectors.types import Eats, EValue, Increment, Kind, Outcome, Pairs, Reference, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_GROUPS_N = 50


@dataclass(frozen=True, kw_only=True)
class GapState:
    """Counts alone."""

    groups: tuple[str, ...] = ()
    """In the order in which they first appeared; at most 50, later ones are not judged."""
    hits: Floats
    """Answers "positive" of each group and rate, shape (groups, rates)."""
    counts: Floats
    """Pairs that count, same shape."""


@register("fairness_gap")
@dataclass(frozen=True, kw_only=True)
class FairnessGap:
    """Equalised odds (true and false positive rate) or demographic parity (positive rate) among labelled records."""

    metric: Literal["equalized_odds_difference", "demographic_parity_difference"] = "equalized_odds_difference"
    """fairlearn's definition: the largest difference between two groups, of the larger rate."""
    by: str
    """Protected column, bare name."""
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
        if self.metric not in {"equalized_odds_difference", "demographic_parity_difference"}:
            raise ValueError(f"metric must be equalized_odds_difference or demographic_parity_difference, got {self.metric!r}")
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
        rates_n = 2 if self.metric == "equalized_odds_difference" else 1
        return GapState(hits=np.zeros((0, rates_n)), counts=np.zeros((0, rates_n)))

    def step(self, state: GapState, data: Increment) -> tuple[GapState, Verdict]:
        """One closed pane's newly labelled pairs; pairs of unknown group do not count."""
        state = self._count(state, data.pairs)
        if len(_gaps(state, self.min_n)) == 0:
            return state, self._insufficient(state)
        log10_e = _log10_e(state, self.maximum, self.min_n)
        value = float(max(0.0, _gaps(state, self.min_n).max()))
        low = min(value, _lower_end(state, self.alpha, self.min_n))
        is_alarm = is_reached(log10_e, self.alpha)
        says = "is above" if is_alarm else "gives no evidence of being above"
        n = int(self._pairs_n(state).sum())
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=Outcome.ALARM if is_alarm else Outcome.OK,
            evidence=EValue(log10_e=log10_e, alpha=self.alpha),
            value=value,
            low=low,
            high=1.0,
            n=n,
            because=f"the gap between groups of {self.by} ({value:.3f}, at least {low:.3f}) {says} {self.maximum:g}; {n} labelled records",
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
        is_hit, is_label = pairs.predicted == self.positive, pairs.label == self.positive
        is_odds = self.metric == "equalized_odds_difference"
        masks = [is_label, ~is_label] if is_odds else [np.ones(pairs.n, dtype=np.bool_)]
        for i, group in enumerate(groups):
            for j, mask in enumerate(masks):
                inside = (column == group) & mask
                counts[i, j] += inside.sum()
                hits[i, j] += (inside & is_hit).sum()
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
        )


def _comparisons(state: GapState, min_n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """(a, b, rate, weight) of every ordered pair of groups with at least min_n pairs for the rate.

    The weight: 6 / (pi^2 (g - 1)^2) for the later group's number g, shared by the 2 (g - 1) ordered pairs that it brings and the rates:
    fixed when the groups first appear, adding up to at most 1.
    """
    k, rates_n = state.counts.shape
    found = [(a, b, r) for a in range(k) for b in range(k) if a != b for r in range(rates_n) if min(state.counts[[a, b], r]) >= min_n]
    a, b, rate = np.array(found, dtype=np.int64).reshape(-1, 3).T
    before = np.maximum(a, b).astype(np.float64)  # groups that were there before the later one
    return a, b, rate, 6.0 / (math.pi**2 * before**2) / (2.0 * before * rates_n)


def _gaps(state: GapState, min_n: int) -> Floats:
    a, b, rate, _ = _comparisons(state, min_n)
    return np.asarray(state.hits[a, rate] / state.counts[a, rate] - state.hits[b, rate] / state.counts[b, rate], dtype=np.float64)


def _log10_e(state: GapState, gap: float, min_n: int) -> float:
    """Weighted sum of the comparisons' e-values against "no gap above `gap`"."""
    a, b, rate, weight = _comparisons(state, min_n)
    ka, na, kb, nb = state.hits[a, rate], state.counts[a, rate], state.hits[b, rate], state.counts[b, rate]
    log_e = log_mixture(ka, na) + log_mixture(kb, nb) - _largest_log_likelihood(ka, na, kb, nb, gap)
    return log10_mean(log_e, weight)


def _largest_log_likelihood(ka: Floats, na: Floats, kb: Floats, nb: Floats, gap: float) -> Floats:
    """Over all rates with p_a - p_b <= gap, shape (comparisons,): free when the observed gap is allowed, else on the edge (by halving)."""
    low, high = np.zeros(len(ka)), np.full(len(ka), 1.0 - gap)
    for _ in range(50):
        p = 0.5 * (low + high)
        slope = kb / p - (nb - kb) / (1.0 - p) + ka / (p + gap) - (na - ka) / (1.0 - p - gap)
        low, high = np.where(slope > 0, p, low), np.where(slope > 0, high, p)
    p = 0.5 * (low + high)
    edge = log_likelihood(ka, na, np.minimum(p + gap, 1.0)) + log_likelihood(kb, nb, p)
    free = log_likelihood(ka, na, ka / na) + log_likelihood(kb, nb, kb / nb)
    return np.asarray(np.where(ka / na - kb / nb <= gap, free, edge), dtype=np.float64)


def _lower_end(state: GapState, alpha: float, min_n: int) -> float:
    """Largest gap that is refuted at alpha; 0 when not even "no gap" is."""
    low, high = 0.0, 1.0
    if not is_reached(_log10_e(state, 0.0, min_n), alpha):
        return 0.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_reached(_log10_e(state, middle, min_n), alpha) else (low, middle)
    return low
