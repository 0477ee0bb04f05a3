"""Disparate impact: how many times less often the favourable answer comes to the group that gets it least."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.fairness.gap import check_settings, gap_verdict, groups_of, rates_together
from detectors.fairness.metric import GroupRate
from detectors.performance.rate import Unused
from detectors.registry import register
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.fairness.gap import Groups
    from detectors.types import Reference, Verdict, Window

_RATES = (GroupRate.POSITIVE,)


@register("disparate_impact")
@dataclass(frozen=True, kw_only=True)
class DisparateImpact:
    """Demographic parity ratio: smallest share of favourable answers of a group over the largest; 1 = alike."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with at least 1 - alpha at one look, for every n and number of groups"
    assumption: ClassVar[str] = (
        "pairs independent; speaks of labelled records of known groups only; with unequal weights the level holds about"
    )
    cost: ClassVar[str] = "O(groups^2) a look, of the 50 largest groups; nothing per record; needs labels and groups"
    source: ClassVar[str] = "fairlearn (demographic_parity_ratio); 29 CFR 1607.4 D (the four-fifths rule); Clopper & Pearson 1934"

    by: str
    """Protected column, bare name: "age_band"; or two at once: "age_band & sex"."""
    positive: str
    """The label that counts as the favourable answer; all others are the rest."""
    minimum: float = 0.8
    """Alarm when the interval's upper end is below this; 0.8 is the four-fifths rule."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 50
    """A group with fewer labelled pairs is not judged."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        check_settings(self.minimum, self.alpha, self.min_n, limit="minimum", remedy="0.8 is the four-fifths rule")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(by="age_band", positive="positive")

    @property
    def subject(self) -> str:
        """By one column."""
        return f"demographic_parity_ratio[by={self.by}]"

    def start(self, reference: Reference) -> Unused:  # noqa: ARG002 (a ratio needs no reference)
        """Nothing is kept."""
        return Unused()

    def step(self, state: Unused, data: Window) -> tuple[Unused, Verdict]:
        """One look at a window."""
        groups = groups_of(data, by=self.by, positive=self.positive, min_n=self.min_n, rates=_RATES)
        is_told = len(groups.judged) > 1 and any(hits.w > 0.0 for hits, _ in groups.fractions(GroupRate.POSITIVE))
        figure = _figure(groups, self.alpha) if is_told else None
        shares = zip(groups.judged, groups.fractions(GroupRate.POSITIVE), strict=True)
        parts = {group: f"favourable {hits.w / of.w:.3f} (n = {of.n})" for group, (hits, of) in shares}
        verdict = gap_verdict(
            detector=self.name,
            subject=self.subject,
            minimum=self.minimum,
            judged_n=len(groups.judged),
            n=groups.n,
            left_out=groups.left_out,
            figure=figure,
            parts=parts,
        )
        return state, verdict


def _figure(groups: Groups, alpha: float) -> tuple[float, float, float]:
    """The ratio and the ends of its interval: the smallest quotient of two rates, each within the quotients of their ends."""
    fractions = groups.fractions(GroupRate.POSITIVE)
    shares = [hits.w / of.w for hits, of in fractions]
    low = high = 1.0
    for a, b in permutations(rates_together([fractions], alpha)[0], 2):
        low = min(low, a.low / b.high)
        high = min(high, a.high / b.low if b.low > 0.0 else 1.0)
    value = min(shares) / max(shares)
    return value, min(low, value), max(high, value)
