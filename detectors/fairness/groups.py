"""Each group's own rates with intervals: what lies behind a gap. They inform; only the gap is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.fairness.gap import fractions_of
from detectors.fairness.intersection import AND
from detectors.fairness.metric import GroupRate
from detectors.fairness.shrinkage import shrunk
from detectors.performance.rate import weighted
from detectors.sketches.confusion import Tally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from detectors.fairness.gap import Fraction
    from detectors.sketches.confusion import Confusion

OTHER = "(other)"
"""All groups that are not named, together."""
MOST_GROUPS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFigure:
    """One rate of one group, with its interval."""

    column: str
    group: str
    rate: GroupRate
    is_shrunk: bool
    """Of a group with too few pairs for a figure of its own: drawn towards the rates of all groups."""
    value: float
    low: float
    high: float
    n: int
    """Labelled pairs behind it."""


def named_groups(reference: Mapping[str, int]) -> frozenset[str]:
    """The reference's largest groups: traffic cannot add to them, so they are fit to name a series."""
    largest = sorted(reference, key=lambda group: (-reference[group], group))
    return frozenset(largest[:MOST_GROUPS])


def named_intersections(a: Mapping[str, int], b: Mapping[str, int]) -> frozenset[str]:
    """The same of two columns at once: those that would be largest if the columns were independent."""
    return named_groups({f"{x}{AND}{y}": a[x] * b[y] for x in named_groups(a) for y in named_groups(b)})


def group_figures(
    confusion: Confusion, *, by: str, positive: str, named: Collection[str], min_n: int, alpha: float = 0.05
) -> Iterator[GroupFigure]:
    """Every rate that has a labelled pair, of the named groups and of all others together; weights respected.

    Where `min_n` pairs count it is the group's own, with an interval that holds with 1 - alpha (exact; with unequal weights about); where
    fewer do it is drawn towards those of all groups.
    """
    together: dict[str, dict[GroupRate, Fraction]] = {}
    for group, own in fractions_of(confusion, GroupRate, by=by, positive=positive).items():
        sums = together.setdefault(group if group in named else OTHER, dict.fromkeys(GroupRate, (Tally(), Tally())))
        for rate, (hits, of) in own.items():
            sums[rate] = sums[rate][0].plus(hits), sums[rate][1].plus(of)
    for rate in GroupRate:
        found = {group: sums[rate] for group, sums in sorted(together.items()) if sums[rate][1].n}
        few = {group for group, (_, of) in found.items() if of.n < min_n}
        shown = {group: weighted(*own, alpha) for group, own in found.items() if group not in few}
        if few:
            drawn = zip(found, shrunk(list(found.values()), alpha, has_ends=[group in few for group in found]), strict=True)
            shown |= {group: figure for group, figure in drawn if group in few}
        for group, it in shown.items():
            yield GroupFigure(column=by, group=group, rate=rate, is_shrunk=group in few, value=it.value, low=it.low, high=it.high, n=it.n)
