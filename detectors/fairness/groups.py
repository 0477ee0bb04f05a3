"""Each group's own rates with intervals: what lies behind a gap. They inform; only the gap is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.fairness.gap import fractions_of
from detectors.fairness.intersection import AND
from detectors.fairness.metric import GroupRate
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
    """Every rate for which `min_n` labelled pairs count, of the named groups and of all others together; weights respected.

    Each interval holds with 1 - alpha (exact; with unequal weights about).
    """
    together: dict[str, dict[GroupRate, Fraction]] = {}
    for group, own in fractions_of(confusion, GroupRate, by=by, positive=positive).items():
        sums = together.setdefault(group if group in named else OTHER, dict.fromkeys(GroupRate, (Tally(), Tally())))
        for rate, (hits, of) in own.items():
            sums[rate] = sums[rate][0].plus(hits), sums[rate][1].plus(of)
    for group, rates in sorted(together.items()):
        for rate, (hits, of) in rates.items():
            if of.n >= min_n:
                found = weighted(hits, of, alpha)
                yield GroupFigure(column=by, group=group, rate=rate, value=found.value, low=found.low, high=found.high, n=of.n)
