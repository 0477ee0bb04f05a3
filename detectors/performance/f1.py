"""F1: the harmonic mean of precision and recall of one label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.performance.rate import Rate, weighted
from detectors.performance.rated import RatedOfLabel
from detectors.registry import register

if TYPE_CHECKING:
    from detectors.sketches.confusion import Confusion


@register("f1")
@dataclass(frozen=True, kw_only=True)
class F1(RatedOfLabel):
    """F1 of one label, with an exact interval; n = labelled pairs that have the label as truth or as answer.

    F1 = 2 J / (1 + J), where J = TP / (TP + FP + FN) is the share of such pairs that are right: given their number, TP is binomial, and
    J's exact interval carries over because the map is increasing.
    """

    guarantee: ClassVar[str] = "given the number of such pairs the interval holds with at least 1 - alpha at one look, for every n"
    source: ClassVar[str] = "Clopper & Pearson 1934, for J (Jaccard's index)"
    counted: ClassVar[str] = "labelled pairs with that label as truth or answer"

    def rate(self, confusion: Confusion) -> Rate:
        """By J."""
        found = confusion.tallies(self.label)
        return f1_of(weighted(found.tp, found.tp.plus(found.fp, found.fn), self.alpha))


def f1_of(found: Rate) -> Rate:
    """F1 by the share J of right ones among the pairs that have the label as truth or as answer."""
    if not found.n:
        return found
    value, low, high = (2.0 * j / (1.0 + j) for j in (found.value, found.low, found.high))
    return Rate(hits=found.hits, n=found.n, value=value, low=low, high=high)
