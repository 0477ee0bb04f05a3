"""Jensen-Shannon distance between the categories of a window and of the reference, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from detectors.drift.categories import CategoryState, category_state, compared, largest_change
from detectors.drift.interval import Slopes, interval, smoothed
from detectors.registry import register
from detectors.types import Eats, Kind, Outcome, PValue, Score, Verdict

if TYPE_CHECKING:
    from detectors.types import Reference, Window


@register("jensen_shannon")
@dataclass(frozen=True, kw_only=True)
class JensenShannon:
    """Jensen-Shannon distance (base 2) of one category column; a missing value is a category.

    Value: square root of the divergence, in [0, 1], a metric. Alarm: the interval's lower end is above `limit`.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.CATEGORY})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "none beyond the interval: the limit is set by hand; about alpha / 2 of quiet windows have a lower end above 0"
    )
    assumption: ClassVar[str] = "records independent; asymptotic in n"
    cost: ClassVar[str] = "O(categories), at most 1,000; counts are exact; no labels"
    source: ClassVar[str] = "Lin 1991 (divergence); Endres & Schindelin 2003 (its root is a metric)"

    column: str
    """Subject, "input.channel"."""
    alpha: float = 0.01
    """The interval holds with 1 - alpha."""
    limit: float = 0.1
    """A distance of 0.1 is a divergence of 0.01 bits: shares of 50 % and about 62 %."""
    min_n: int = 30
    """Fewer records on either side: insufficient."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        PValue(p=1.0, alpha=self.alpha)
        if not 0.0 < self.limit < 1.0:
            raise ValueError(f"limit must be in (0, 1), got {self.limit}; 0.1 is customary")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.channel")

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> CategoryState:
        """The reference's counts."""
        return category_state(reference, self.column)

    def step(self, state: CategoryState, data: Window) -> tuple[CategoryState, Verdict]:
        """One look at a window."""
        names, before, now = compared(state, data, self.column)
        n_before, n_now = int(before.sum()), int(now.sum())
        if min(n_before, n_now) < self.min_n:
            because = f"{self.column}: {n_now} records in the window, {n_before} in the reference; both need {self.min_n}"
            return state, self._verdict(Outcome.INSUFFICIENT, (0.0, 0.0, 1.0), n_now, because)
        p, q = before / n_before, now / n_now
        found = divergence(p, q, smoothed(before), smoothed(now))
        low, high = interval(found, smoothed(before), smoothed(now), n_p=n_before, n_q=n_now, alpha=self.alpha)
        value, low, high = math.sqrt(found.value), math.sqrt(low), min(1.0, math.sqrt(high))
        outcome = Outcome.ALARM if low > self.limit else Outcome.OK
        because = (
            f"{self.column}: distance {value:.3f}, between {low:.3f} and {high:.3f}; the limit is {self.limit:g}, "
            f"{'and the lower end is above it' if outcome is Outcome.ALARM else 'which the lower end does not pass'}, "
            f"{largest_change(names, p, q)}; {n_now} records against {n_before}"
        )
        return state, self._verdict(outcome, (value, low, high), n_now, because)

    def _verdict(self, outcome: Outcome, figure: tuple[float, float, float], n: int, because: str) -> Verdict:
        value, low, high = figure
        evidence = Score(distance=value, limit=self.limit)
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
            limit=self.limit,
        )


def divergence(p: NDArray[np.float64], q: NDArray[np.float64], p_slope: NDArray[np.float64], q_slope: NDArray[np.float64]) -> Slopes:
    """In bits, of shares p and q, both (k,); its slopes are taken at p_slope and q_slope, which have no zero."""
    mean = (p + q) / 2.0
    value = float((rel_entr(p, mean) + rel_entr(q, mean)).sum()) / (2.0 * math.log(2.0))
    middle = (p_slope + q_slope) / 2.0
    return Slopes(
        value=min(1.0, max(0.0, value)),
        by_p=np.log2(p_slope / middle) / 2.0,
        by_q=np.log2(q_slope / middle) / 2.0,
        curvature=1.0 / (8.0 * math.log(2.0)),
    )
