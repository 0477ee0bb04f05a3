"""Each group's own rates with intervals: what lies behind a gap. They inform; only the gap is judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.fairness.intersection import AND
from detectors.fairness.metric import COUNTED, GroupRate
from detectors.performance.rate import binomial
from detectors.sketches.confusion import Rates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

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


def group_figures(confusion: Confusion, *, by: str, positive: str, named: Collection[str], alpha: float = 0.05) -> Iterator[GroupFigure]:
    """Every rate that has a labelled pair, of the named groups and of all others together; each interval holds with 1 - alpha (exact)."""
    counts: Counter[tuple[str, int]] = Counter()
    for group in confusion.groups(by):
        for place, n in enumerate(confusion.rates(positive, by, group)):
            counts[group if group in named else OTHER, place] += n
    for group in sorted({group for group, _ in counts}):
        rates = Rates(*(counts[group, place] for place in range(4)))
        for name in GroupRate:
            hits, n = (sum(getattr(rates, place) for place in places) for places in COUNTED[name])
            if n:
                rate = binomial(hits, n, alpha)
                yield GroupFigure(column=by, group=group, rate=name, value=rate.value, low=rate.low, high=rate.high, n=n)
