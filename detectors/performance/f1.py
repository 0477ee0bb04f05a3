"""F1: the harmonic mean of precision and recall of one label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.performance.rate import Rate, Unused, check_settings, rate_verdict, weighted
from detectors.registry import register
from detectors.sketches.confusion import Confusion
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@register("f1")
@dataclass(frozen=True, kw_only=True)
class F1:
    """F1 of one label, with an exact interval; n = labelled pairs that have the label as truth or as answer.

    F1 = 2 J / (1 + J), where J = TP / (TP + FP + FN) is the share of such pairs that are right: given their number, TP is binomial, and
    J's exact interval carries over because the map is increasing.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "given the number of such pairs the interval holds with at least 1 - alpha at one look, for every n"
    assumption: ClassVar[str] = "pairs independent; speaks of labelled records only; with uneven weights the interval holds about"
    cost: ClassVar[str] = "O(cells) of the confusion counts; needs labels"
    source: ClassVar[str] = "Clopper & Pearson 1934, for J (Jaccard's index)"

    label: str
    """The class that is found or missed; all others are the rest."""
    minimum: float | None = None
    """Alarm when even the interval's upper end is below this; None = report only."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 20
    """Fewer labelled pairs with that label as truth or answer: insufficient."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        check_settings(self.alpha, self.minimum, self.min_n)

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(label="positive", minimum=0.8)

    @property
    def subject(self) -> str:
        """Of one label."""
        return f"f1[label={self.label}]"

    def start(self, reference: Reference) -> Unused:  # noqa: ARG002 (a rate needs no reference)
        """Nothing is kept."""
        return Unused()

    def step(self, state: Unused, data: Window) -> tuple[Unused, Verdict]:
        """One look at a window."""
        confusion = data.confusion if isinstance(data.confusion, Confusion) else Confusion()
        found = confusion.tallies(self.label)
        verdict = rate_verdict(
            f1_of(weighted(found.tp, found.tp.plus(found.fp, found.fn), self.alpha)),
            detector=self.name,
            subject=self.subject,
            minimum=self.minimum,
            min_n=self.min_n,
            what="labelled pairs with that label as truth or answer",
            dropped=confusion.dropped_of_all,
        )
        return state, verdict


def f1_of(found: Rate) -> Rate:
    """F1 by the share J of right ones among the pairs that have the label as truth or as answer."""
    if not found.n:
        return found
    value, low, high = (2.0 * j / (1.0 + j) for j in (found.value, found.low, found.high))
    return Rate(hits=found.hits, n=found.n, value=value, low=low, high=high)
