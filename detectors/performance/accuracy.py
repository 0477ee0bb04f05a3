"""Accuracy: the share of labelled pairs answered rightly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.performance.rate import Unused, check_settings, rate_verdict, weighted
from detectors.registry import register
from detectors.sketches.confusion import Confusion
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@register("accuracy")
@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of labelled pairs answered rightly, with an exact interval; n = labelled pairs."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with at least 1 - alpha at one look, for every n"
    assumption: ClassVar[str] = "pairs independent; speaks of labelled records only; with uneven weights the interval holds about"
    cost: ClassVar[str] = "O(cells) of the confusion counts; needs labels"
    source: ClassVar[str] = "Clopper & Pearson 1934"

    minimum: float | None = None
    """Alarm when even the interval's upper end is below this; None = report only."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 20
    """Fewer labelled pairs: insufficient."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        check_settings(self.alpha, self.minimum, self.min_n)

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(minimum=0.8)

    @property
    def subject(self) -> str:
        """Of all labels."""
        return "accuracy"

    def start(self, reference: Reference) -> Unused:  # noqa: ARG002 (a rate needs no reference)
        """Nothing is kept."""
        return Unused()

    def step(self, state: Unused, data: Window) -> tuple[Unused, Verdict]:
        """One look at a window."""
        confusion = data.confusion if isinstance(data.confusion, Confusion) else Confusion()
        verdict = rate_verdict(
            weighted(*confusion.right(), self.alpha),
            detector=self.name,
            subject=self.subject,
            minimum=self.minimum,
            min_n=self.min_n,
            what="labelled pairs",
            dropped=confusion.dropped_of_all,
        )
        return state, verdict
