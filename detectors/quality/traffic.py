"""How many records come, against the same hours of earlier days."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import ndtri, stdtrit

from detectors.registry import register
from detectors.sketches.records import RECORD
from detectors.types import Eats, Kind, Outcome, PValue, Score, Verdict

if TYPE_CHECKING:
    from detectors.types import Reference, Window

_MOST = 1e6


@register("traffic")
@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Records of the window over what the same hours of earlier days had. Alarm: the interval is above `limit`, or below 1 / limit.

    Value: a ratio to the geometric mean of earlier days. The interval is that of one further day: the spread of the logarithms of the days'
    counts (Student's t with days - 1 degrees of freedom) and of the count itself. It informs only: how much traffic varies from day to day
    has no bound that a bet could stand on, and a holiday is no false alarm of a sensor.
    """

    limit: float = 2.0
    """Twice as many, or half as many."""
    alpha: float = 0.01
    """The interval holds with 1 - alpha."""
    min_days: int = 3
    """Fewer earlier days with records: insufficient."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "none beyond the interval: the limit is set by hand"
    assumption: ClassVar[str] = "logarithms of the counts of the same hours of different days are independent and normal, with one mean"
    cost: ClassVar[str] = "O(days)"
    source: ClassVar[str] = "Student 1908 (prediction interval)"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        PValue(p=1.0, alpha=self.alpha)
        if self.limit <= 1.0 or self.min_days < 2:  # noqa: PLR2004 (one day has no spread)
            raise ValueError(f"limit must be above 1 and min_days at least 2, got {self.limit} and {self.min_days}; 2 = twice or half")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls()

    @property
    def subject(self) -> str:
        """Not a column."""
        return f"{RECORD}.n"

    def start(self, reference: Reference) -> None:
        """Nothing is to be learned: earlier days come with the window."""

    def step(self, state: None, data: Window) -> tuple[None, Verdict]:
        """One look at a window."""
        now, days = (data.traffic[0], data.traffic[1:]) if data.traffic else (0, ())
        if len(days) < self.min_days:
            because = f"{len(days)} earlier days had records in these hours; {self.min_days} are needed"
            return state, self._verdict(Outcome.INSUFFICIENT, (1.0, 0.0, _MOST), now, because)
        logs = np.log(np.asarray(days, dtype=np.float64))
        mean = float(logs.mean())
        spread = float(logs.std(ddof=1)) * math.sqrt(1.0 + 1.0 / len(days)) * float(stdtrit(len(days) - 1, 1.0 - self.alpha / 2.0))
        spread = math.hypot(spread, float(ndtri(1.0 - self.alpha / 2.0)) / math.sqrt(max(1, now)))
        value = (now + 0.5) / math.exp(mean)
        low, high = value * math.exp(-min(spread, 30.0)), value * math.exp(min(spread, 30.0))
        is_alarm = low > self.limit or high < 1.0 / self.limit
        because = (
            f"{now} records, {value:.2f} times what the same hours of {len(days)} earlier days had, between {low:.2f} and {high:.2f}; "
            f"{'beyond' if is_alarm else 'no proof of more than'} {self.limit:g} times more or less"
        )
        figure = (min(value, _MOST), min(low, _MOST), min(high, _MOST))
        return state, self._verdict(Outcome.ALARM if is_alarm else Outcome.OK, figure, now, because)

    def _verdict(self, outcome: Outcome, figure: tuple[float, float, float], n: int, because: str) -> Verdict:
        value, low, high = figure
        return Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=value, limit=self.limit),
            value=value,
            low=low,
            high=high,
            n=n,
            because=because,
            limit=self.limit,
        )
