"""What one-look tests share: a p-value, and a magnitude with its interval beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from detectors.types import Kind, Outcome, PValue, Verdict

if TYPE_CHECKING:
    Figure = tuple[float, float, float]
    """Value, low, high."""


@dataclass(frozen=True, kw_only=True)
class OneLook:
    """A test of a window against the reference."""

    alpha: float = 0.01
    """False-alarm rate at one look; the interval holds with 1 - alpha."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    evidence: ClassVar[type[PValue]] = PValue

    def __post_init__(self) -> None:
        """Check alpha once, not at the first look."""
        PValue(p=1.0, alpha=self.alpha)

    @property
    def subject(self) -> str:
        """What is tested."""
        raise NotImplementedError

    def told(self, p: float, figure: Figure, n: int, because: str) -> Verdict:
        """The verdict: an alarm where p is at most alpha."""
        return self._verdict(Outcome.ALARM if p <= self.alpha else Outcome.OK, p, figure, n, because)

    def unknown(self, figure: Figure, n: int, because: str) -> Verdict:
        """Too little to say."""
        return self._verdict(Outcome.INSUFFICIENT, 1.0, figure, n, because)

    def _verdict(self, outcome: Outcome, p: float, figure: Figure, n: int, because: str) -> Verdict:
        value, low, high = figure
        evidence = PValue(p=p, alpha=self.alpha)
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=evidence,
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
        )


@dataclass(frozen=True, kw_only=True)
class OneLookOfColumn(OneLook):
    """Of one column."""

    column: str
    """Subject, "input.age"."""
    min_n: int = 30
    """Fewer values on either side: insufficient."""

    @property
    def subject(self) -> str:
        """The column."""
        return self.column
