"""How old the newest record is when it is looked at: a feed that lags behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.registry import register
from detectors.sketches.moments import Moments
from detectors.sketches.records import RECORD
from detectors.types import Eats, Kind, Outcome, Score, Verdict

if TYPE_CHECKING:
    from detectors.types import Reference, Window


@register("staleness")
@dataclass(frozen=True, kw_only=True)
class Staleness:
    """Seconds from the newest record of the window to its end. Alarm: more than `limit_s`.

    A model without any record is blind, which is told by other means; this finds one whose records come, but late.
    """

    limit_s: float = 1800.0
    """Seconds; older is stale."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "none: the age is exact, the limit is set by hand"
    assumption: ClassVar[str] = "records are dated by the clock that the window's end is read from"
    cost: ClassVar[str] = "O(1)"
    source: ClassVar[str] = "by definition"

    def __post_init__(self) -> None:
        """Check the limit once, not at the first look."""
        if self.limit_s <= 0.0:
            raise ValueError(f"limit_s must be positive, got {self.limit_s}; 1800 = half an hour")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls()

    @property
    def subject(self) -> str:
        """Not a column."""
        return f"{RECORD}.at"

    def start(self, reference: Reference) -> None:
        """Nothing is to be learned."""

    def step(self, state: None, data: Window) -> tuple[None, Verdict]:
        """One look at a window."""
        found = data.sketches.get(RECORD, {}).get("at", Moments())
        length = (data.end - data.start).total_seconds()
        age = min(max(0.0, data.end.timestamp() - found.high), length) if found.n else 0.0
        if not found.n:
            outcome, because = Outcome.INSUFFICIENT, f"no record in the last {length:.0f} s"
        else:
            outcome = Outcome.ALARM if age > self.limit_s else Outcome.OK
            because = f"the newest record is {age:.0f} s old; {'more' if age > self.limit_s else 'not more'} than {self.limit_s:g} s"
        return state, Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=age, limit=self.limit_s),
            value=age,
            low=age,
            high=age if found.n else length,
            n=found.n,
            because=because,
            limit=self.limit_s,
        )
