"""The gap of a mean between groups: one look, an interval by the normal law, the groups that are too small by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scipy.special import stdtrit

from detectors.fairness.gap import MOST_JUDGED, between, check_settings, gap_verdict
from detectors.group_means import METRICS, Mean, Range, cell_of, range_of
from detectors.performance.figure import NO_SPREAD, unit_mean
from detectors.sketches.means import Means
from detectors.types import Kind, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.sketches.means import Sums
    from detectors.types import Reference, Verdict, Window


@dataclass(frozen=True, kw_only=True)
class MeanGap:
    """The largest difference between two groups of a mean, in the mean's own unit."""

    by: str
    """Protected column, bare name: "age_band"; or two at once: "age_band & sex"."""
    labels: tuple[str, ...] = ()
    """The classes, in the order of the scores."""
    positive: str = ""
    """The label that counts as the favourable answer."""
    maximum: float = 0.1
    """Alarm when the interval's lower end is above this; of numbers a share of the range of the reference's answers."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 50
    """A group in which fewer labelled pairs have the figure is not judged."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with about 1 - alpha at one look (large samples), whatever the number of groups"
    assumption: ClassVar[str] = "pairs independent; speaks of labelled records of known groups only; weights respected"
    cost: ClassVar[str] = "O(groups^2) a look, of the 50 largest groups; nothing per record; needs labels and groups"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        check_settings(self.maximum, self.alpha, self.min_n)

    @property
    def mean(self) -> Mean:
        """What is compared."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """By one column."""
        return f"{METRICS[self.mean]}[by={self.by}]"

    def start(self, reference: Reference) -> Range:
        """Where the mean can lie."""
        return range_of(self.mean, reference)

    def step(self, state: Range, data: Window) -> tuple[Range, Verdict]:
        """One look at a window."""
        found = data.judged.get("means")
        means = found if isinstance(found, Means) else Means()
        what = cell_of(self.mean, self.positive)
        sums = {group: means.sums(what, self.by, group) for group in means.groups(self.by)}
        sums = {group: of for group, of in sums.items() if of.n}
        largest = sorted(sums, key=lambda group: (-sums[group].n, group))[:MOST_JUDGED]
        left_out = dict.fromkeys(sorted(set(sums) - set(largest))[:MOST_JUDGED], f"only the {MOST_JUDGED} largest are judged")
        left_out |= {g: f"{int(sums[g].n)} labelled pairs, {self.min_n} are needed" for g in largest if sums[g].n < self.min_n}
        judged = {group: sums[group] for group in sorted(largest) if group not in left_out}
        is_told = len(judged) > 1 and state.unit > 0.0
        verdict = gap_verdict(
            detector=self.name,
            subject=self.subject,
            maximum=self.maximum * (state.unit if self.mean in {Mean.VALUE, Mean.ERROR} else 1.0),
            judged_n=len(judged),
            n=int(sum(of.n for of in judged.values())),
            left_out=left_out,
            figure=_figure(self.mean, judged, state, self.alpha) if is_told else None,
            parts=self.parts(judged, data),
            lacks="the reference has no range of answers to compare with",
        )
        return state, verdict

    def parts(self, judged: Mapping[str, Sums], data: Window) -> dict[str, str]:  # noqa: ARG002 (the calibration shows more of it)
        """Each group's mean, in words."""
        return {group: f"{self.mean} {of.mean:.3g} (n = {int(of.n)})" for group, of in judged.items()}


def _ends_of_numbers(of: Sums, within: Range, alpha: float) -> tuple[float, float]:
    """Student's interval of a group's mean; of numbers that are all equal that of a mean within the reference's range."""
    if of.error <= NO_SPREAD * max(abs(of.mean), within.unit):
        unit = unit_mean(of.scaled(within.low, within.unit), alpha)
        return within.low + within.unit * unit.low, within.low + within.unit * unit.high
    reach = float(stdtrit(max(1.0, of.w**2 / of.w2 - 1.0), 1.0 - alpha / 2.0)) * of.error
    return of.mean - reach, of.mean + reach


def _figure(mean: Mean, judged: Mapping[str, Sums], within: Range, alpha: float) -> tuple[float, float, float]:
    """The gap and the ends of its interval: those of each group's mean at alpha / groups hold together (Bonferroni)."""
    share = alpha / len(judged)
    means = [of.mean for of in judged.values()]
    value = max(means) - min(means)
    if mean in {Mean.VALUE, Mean.ERROR}:
        ends = [_ends_of_numbers(of, within, share) for of in judged.values()]
    else:
        units = [unit_mean(of.scaled(within.low, within.unit), share) for of in judged.values()]
        ends = [(within.low + within.unit * of.low, within.low + within.unit * of.high) for of in units]
    low, high = between([ends])
    return value, min(low, value), max(high, value)
