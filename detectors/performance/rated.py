"""One look at a rate of labelled pairs: what accuracy, precision, recall and F1 share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.performance.rate import Unused, check_settings, rate_verdict
from detectors.sketches.confusion import Confusion
from detectors.types import Eats, Kind, Score

if TYPE_CHECKING:
    from detectors.performance.rate import Rate
    from detectors.types import Reference, Verdict, Window


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Alarm when all of an exact interval is below the minimum."""

    minimum: float | None = None
    """Alarm when even the interval's upper end is below this; None = report only."""
    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 20
    """Fewer labelled pairs behind it: insufficient."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with at least 1 - alpha at one look, for every n"
    assumption: ClassVar[str] = "pairs independent; speaks of labelled records only; with uneven weights the interval holds about"
    cost: ClassVar[str] = "O(cells) of the confusion counts; needs labels"
    source: ClassVar[str] = "Clopper & Pearson 1934"
    counted: ClassVar[str]
    """What n counts, in the plural."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        check_settings(self.alpha, self.minimum, self.min_n)

    @property
    def subject(self) -> str:
        """Of all labels."""
        return self.name

    def rate(self, confusion: Confusion) -> Rate:
        """Of merged counts."""
        raise NotImplementedError

    def start(self, reference: Reference) -> Unused:  # noqa: ARG002 (a rate needs no reference)
        """Nothing is kept."""
        return Unused()

    def step(self, state: Unused, data: Window) -> tuple[Unused, Verdict]:
        """One look at a window."""
        confusion = data.confusion if isinstance(data.confusion, Confusion) else Confusion()
        verdict = rate_verdict(
            self.rate(confusion),
            detector=self.name,
            subject=self.subject,
            minimum=self.minimum,
            min_n=self.min_n,
            what=self.counted,
            dropped=confusion.dropped_of_all,
        )
        return state, verdict


@dataclass(frozen=True, kw_only=True)
class RatedOfLabel(Rated):
    """Of one label."""

    label: str
    """The class that is found or missed; all others are the rest."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(label="positive", minimum=0.8)

    @property
    def subject(self) -> str:
        """Of one label."""
        return f"{self.name}[label={self.label}]"
