"""Population stability index: how far a numeric column's deciles have moved, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detectors.drift.interval import interval, smoothed
from detectors.drift.stability import sketch_slack, stability_index
from detectors.registry import register
from detectors.sketches.moments import Moments
from detectors.sketches.quantiles import Quantiles
from detectors.types import Eats, Kind, Outcome, PValue, Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from detectors.types import Reference, Window

_WIDEST = 50.0
"""Nats; half a record in each bin keeps the index below 2 ln(2 n), 43 for a billion records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PsiState:
    """The reference's bins."""

    edges: NDArray[np.float64]
    """Upper edges of all bins but the last, shape (k - 1,), strictly increasing."""
    counts: NDArray[np.float64]
    """Records in each bin, then the missing ones, shape (k + 1,); not whole when the sketch rounds."""
    n: int
    """Numbers and missing values."""
    error: float
    """Largest error of a rank, from the sketch."""


@register("psi")
@dataclass(frozen=True, kw_only=True)
class Psi:
    """Population stability index of one numeric column over the reference's deciles; missing values are a bin of their own.

    Value: sum (q - p) ln(q / p) >= 0 with half a record added to each bin. A bin's share is a difference of two ranks: each sketch can
    be off by twice its rank error there, which the interval includes. Alarm: its lower end is above `limit`.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind] = Kind.INFORMS
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.NUMERIC})
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "none beyond the interval: the limit is set by hand; about alpha / 2 of quiet windows have a lower end above 0"
    )
    assumption: ClassVar[str] = "records independent; asymptotic in n"
    cost: ClassVar[str] = "O(bins + points of the sketch); no labels"
    source: ClassVar[str] = "the industry's index and limits (.1, .2/.25); its chi-square limit: Pearson's; KLL as in ks"

    column: str
    """Subject, "input.age"."""
    alpha: float = 0.01
    """The interval holds with 1 - alpha."""
    limit: float = 0.2
    """The industry's "significant change"; nats."""
    bins: int = 10
    """Deciles; fewer where the reference has ties."""
    min_n: int = 30
    """Fewer records on either side: insufficient."""

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        PValue(p=1.0, alpha=self.alpha)
        if self.bins < 2 or self.limit <= 0:  # noqa: PLR2004 (one bin compares nothing)
            raise ValueError(f"bins must be at least 2 and limit positive, got {self.bins} and {self.limit}; 10 and 0.2 are customary")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def start(self, reference: Reference) -> PsiState:
        """Bins at the reference's quantiles."""
        sketches = reference.sketches.get(self.column, {})
        quantiles = sketches.get("quantiles", Quantiles())
        edges = np.unique(quantiles.quantiles(np.linspace(0.0, 1.0, self.bins + 1)[1:-1].tolist())) if quantiles.n else np.empty(0)
        counts = _binned(sketches, edges)
        return PsiState(edges=edges, counts=counts, n=round(float(counts.sum())), error=quantiles.rank_error)

    def step(self, state: PsiState, data: Window) -> tuple[PsiState, Verdict]:
        """One look at a window."""
        sketches = data.sketches.get(self.column, {})
        current = _binned(sketches, state.edges)
        n = round(float(current.sum()))
        if min(state.n, n) < self.min_n:
            because = f"{self.column}: {n} records in the window, {state.n} in the reference; both need {self.min_n}"
            return state, self._verdict(Outcome.INSUFFICIENT, (0.0, 0.0, _WIDEST), n, because)
        used = (state.counts + current) > 0
        p, q = smoothed(state.counts[used]), smoothed(current[used])
        found = stability_index(p, q)
        rank_error = sketches["quantiles"].rank_error if "quantiles" in sketches else 0.0
        slack = sketch_slack(p, q, 2.0 * state.error, 2.0 * rank_error)
        low, high = interval(found, p, q, n_p=state.n, n_q=n, alpha=self.alpha, slack=slack)
        outcome = Outcome.ALARM if low > self.limit else Outcome.OK
        because = (
            f"{self.column}: stability index {found.value:.3f}, between {low:.3f} and {high:.3f}; the limit is {self.limit:g}, "
            f"{'and the lower end is above it' if outcome is Outcome.ALARM else 'which the lower end does not pass'}; "
            f"{n} records against {state.n}"
        )
        return state, self._verdict(outcome, (found.value, low, high), n, because)

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


def _binned(sketches: Mapping[str, Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Records at or below the first edge, up to the second, …, above the last, and missing, shape (len(edges) + 2,)."""
    quantiles, moments = sketches.get("quantiles", Quantiles()), sketches.get("moments", Moments())
    values, shares = quantiles.points()
    at = np.concatenate([[0.0], shares])[np.searchsorted(values, edges, side="right")] * quantiles.n
    counts: NDArray[np.float64] = np.concatenate([np.diff(at, prepend=0.0, append=float(quantiles.n)), [float(moments.missing)]])
    return counts
