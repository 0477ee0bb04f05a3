"""The gap of a rate between groups: one look, an exact interval, the groups that are too small by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.fairness.gap import check_settings, gap_interval, gap_verdict, groups_of
from detectors.fairness.metric import GAPS
from detectors.fairness.shrinkage import shrunk
from detectors.performance.rate import Unused
from detectors.registry import register
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.fairness.gap import Groups
    from detectors.fairness.metric import GroupRate
    from detectors.types import Reference, Verdict, Window


@register("rate_gap")
@dataclass(frozen=True, kw_only=True)
class RateGap:
    """The largest difference between two groups of a rate (of several: of the one where it is largest)."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.GROUPS})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with at least 1 - alpha at one look, for every n and number of groups"
    assumption: ClassVar[str] = (
        "pairs independent; speaks of labelled records of known groups only; with unequal weights the level holds about"
    )
    cost: ClassVar[str] = "O(groups) a look, of the 50 largest groups; nothing per record; needs labels and groups"
    source: ClassVar[str] = "fairlearn (definitions); Hardt, Price & Srebro 2016 (equal opportunity); Clopper & Pearson 1934"

    metric: str = "equal_opportunity_difference"
    """Which rates are compared: one of `detectors.fairness.metric.GAPS`."""
    by: str
    """Protected column, bare name: "age_band"; or two at once: "age_band & sex"."""
    positive: str
    """The label that counts as the favourable answer; all others are the rest, but for accuracy, which is of all labels."""
    maximum: float = 0.1
    """Alarm when the interval's lower end is above this."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 50
    """A group in which fewer labelled pairs count for a rate is not judged."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        if self.metric not in GAPS:
            raise ValueError(f"metric must be one of {', '.join(GAPS)}, got {self.metric!r}")
        check_settings(self.maximum, self.alpha, self.min_n)

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(by="age_band", positive="positive")

    @property
    def subject(self) -> str:
        """By one column."""
        return f"{self.metric}[by={self.by}]"

    def start(self, reference: Reference) -> Unused:  # noqa: ARG002 (a gap needs no reference)
        """Nothing is kept."""
        return Unused()

    def step(self, state: Unused, data: Window) -> tuple[Unused, Verdict]:
        """One look at a window."""
        rates = GAPS[self.metric]
        groups = groups_of(data, by=self.by, positive=self.positive, min_n=self.min_n, rates=rates)
        parts = _parts(groups, rates)
        figure = None if len(groups.judged) < 2 else _figure(groups, rates, self.alpha)  # noqa: PLR2004 (a gap is between two)
        verdict = gap_verdict(
            detector=self.name,
            subject=self.subject,
            maximum=self.maximum,
            judged_n=len(groups.judged),
            n=groups.n,
            left_out={group: "; ".join([why, *parts.get(group, [])]) for group, why in groups.left_out.items()},
            figure=figure,
            parts={group: ", ".join(parts[group]) for group in groups.judged},
        )
        return state, verdict


def _figure(groups: Groups, rates: tuple[GroupRate, ...], alpha: float) -> tuple[float, float, float]:
    """The gap and the ends of its interval, all in [0, 1]."""
    families = [groups.fractions(rate) for rate in rates]
    low, high = gap_interval(families, alpha)
    shares = [[hits.w / of.w for hits, of in family] for family in families]
    value = max(max(family) - min(family) for family in shares)
    return value, min(low, value), max(high, value)


def _parts(groups: Groups, rates: tuple[GroupRate, ...]) -> dict[str, list[str]]:
    """Each group's rates, raw and drawn towards all groups'; of those with too few pairs the latter alone, with its interval."""
    every = {**groups.judged, **groups.small}
    found: dict[str, list[str]] = {group: [] for group in every}
    for rate in rates:
        known = {group: of[rate] for group, of in every.items() if of[rate][1].n}
        name = rate.replace("_", " ")
        rates_drawn = shrunk(list(known.values()), has_ends=[group in groups.small for group in known])
        for (group, (hits, of)), drawn in zip(known.items(), rates_drawn, strict=True):
            own = f"{name} {hits.w / of.w:.3f}, shrunk {drawn.value:.3f} (n = {of.n})"
            few = f"{name} shrunk {drawn.value:.3f}, between {drawn.low:.3f} and {drawn.high:.3f}"
            found[group].append(own if group in groups.judged else few)
    return found
