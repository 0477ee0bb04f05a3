"""A figure of labelled pairs with its interval, and the verdict on it: what scores, errors, areas and macro averages share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from scipy.special import expit, logit, ndtri, stdtrit

from detectors.sketches.confusion import Confusion
from detectors.sketches.judged import judge
from detectors.sketches.means import Means
from detectors.types import Kind, Outcome, Reference, Score, Verdict, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.sketches.means import Sums


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure in [low, high], and the pairs behind it. Nothing known: n = 0."""

    value: float
    low: float
    high: float
    n: int
    lacks: str = ""
    """What it would need beside more pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """The state: what the figure is held to; NaN = nothing."""

    value: float


@dataclass(frozen=True, kw_only=True)
class Figured:
    """One look at a figure. Alarm when all of its interval is beyond the limit: the given one, or one that the bound rows gave."""

    alpha: float = 0.05
    """The interval holds with 1 - alpha."""
    min_n: int = 30
    """Fewer labelled pairs behind it: insufficient."""

    name: ClassVar[str]
    is_loss: ClassVar[bool] = False
    """Less is better."""
    kind: ClassVar[Kind] = Kind.INFORMS
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = "the interval holds with about 1 - alpha at one look (large samples; weights respected)"
    assumption: ClassVar[str] = "pairs independent; speaks of labelled records only"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha must be in (0, 1), got {self.alpha}; 0.05 gives 95 % intervals")
        if self.min_n < 2:  # noqa: PLR2004 (one value has no spread)
            raise ValueError(f"min_n must be at least 2, got {self.min_n}; 30 is usual")

    @property
    def subject(self) -> str:
        """The figure."""
        return self.name

    @property
    def classes(self) -> Sequence[str]:
        """In the order of the scores."""
        return ()

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:
        """Of merged sketches."""
        raise NotImplementedError

    def limit(self, bound: Figure | None) -> float | None:
        """What the figure is held to; `bound`: the figure of the bound rows, None = too few of them."""
        raise NotImplementedError

    def start(self, reference: Reference) -> Limit:
        """The limit."""
        found = self.figure(Confusion().add(reference.bound), judge(reference.bound, self.classes))
        limit = self.limit(found if found.n >= self.min_n and not found.lacks else None)
        return Limit(value=math.nan if limit is None else limit)

    def step(self, state: Limit, data: Window) -> tuple[Limit, Verdict]:
        """One look at a window."""
        confusion = data.confusion if isinstance(data.confusion, Confusion) else Confusion()
        found = self.figure(confusion, data.judged)
        limit = None if math.isnan(state.value) else state.value
        outcome, because = self._says(found, limit)
        distance = found.value if self.is_loss else 1.0 - found.value
        allowed = 0.0 if limit is None else limit if self.is_loss else 1.0 - limit
        verdict = Verdict(
            detector=self.name,
            subject=self.subject,
            outcome=outcome,
            evidence=Score(distance=distance, limit=allowed),
            value=found.value,
            low=found.low,
            high=found.high,
            n=found.n,
            because=because,
            limit=limit,
        )
        return state, verdict

    def _says(self, found: Figure, limit: float | None) -> tuple[Outcome, str]:
        if found.n < self.min_n:
            return Outcome.INSUFFICIENT, f"{self.subject}: {found.n} labelled pairs, {self.min_n} are needed"
        if found.lacks:
            return Outcome.INSUFFICIENT, f"{self.subject}: {found.lacks}"
        said = f"{self.subject} is {found.value:.4g}, between {found.low:.4g} and {found.high:.4g}, on {found.n} labelled pairs"
        if limit is None:
            return Outcome.OK, f"{said}; no limit is set"
        side = "above" if self.is_loss else "below"
        is_beyond = found.low > limit if self.is_loss else found.high < limit
        said = f"{said}; {'all' if is_beyond else 'not all'} of it {side} the limit of {limit:.4g}"
        return (Outcome.ALARM if is_beyond else Outcome.OK), said


@dataclass(frozen=True, kw_only=True)
class Good(Figured):
    """More is better; at most 1."""

    minimum: float | None = None
    """Alarm when even the interval's upper end is below this."""
    max_drop: float | None = None
    """Or below the lower end of the bound rows' interval, less this; ignored when `minimum` is given. Both None = report only."""

    def limit(self, bound: Figure | None) -> float | None:
        """The minimum, or what the bound rows give."""
        if self.minimum is not None or self.max_drop is None or bound is None:
            return self.minimum
        return bound.low - self.max_drop


@dataclass(frozen=True, kw_only=True)
class Loss(Figured):
    """Less is better; at least 0."""

    is_loss: ClassVar[bool] = True

    maximum: float | None = None
    """Alarm when even the interval's lower end is above this."""
    max_rise: float | None = None
    """Or above the upper end of the bound rows' interval by more than this share of it; ignored when `maximum` is given. Both None = report
    only."""

    def limit(self, bound: Figure | None) -> float | None:
        """The maximum, or what the bound rows give."""
        if self.maximum is not None or self.max_rise is None or bound is None:
            return self.maximum
        return bound.high * (1.0 + self.max_rise)


NO_SPREAD = 1e-6
"""Of the mean: less is rounding."""
NOTHING = Figure(value=0.0, low=0.0, high=1.0, n=0)
"""Of no pairs."""


def positive_mean(sums: Sums, alpha: float, *, power: float = 1.0) -> Figure:
    """A mean of values >= 0, raised to `power`, with Student's interval on the logarithm (delta method): right-skewed means need that.

    Values without a bound that are all equal say nothing of how large others may be: no figure.
    """
    if sums.n < 2 or sums.error <= NO_SPREAD * sums.mean:  # noqa: PLR2004 (no spread)
        value = max(0.0, sums.mean) ** power
        lacks = f"all of them are equal ({value:.4g}): how large others may be is not known"
        return Figure(value=value, low=0.0, high=value, n=int(sums.n), lacks=lacks)
    reach = float(stdtrit(max(1.0, sums.w**2 / sums.w2 - 1.0), 1.0 - alpha / 2.0)) * sums.error / sums.mean
    low, high = (sums.mean * math.exp(min(side * reach, 300.0)) for side in (-1.0, 1.0))
    return Figure(value=sums.mean**power, low=low**power, high=high**power, n=int(sums.n))


def unit_mean(sums: Sums, alpha: float) -> Figure:
    """A mean of values in [0, 1]: z^2/2 values of 0 and as many of 1 are added for the interval (of 0 and 1 alone: Agresti & Coull 1998).

    So it never shrinks to a point when all values are equal.
    """
    if not sums.n:
        return NOTHING
    n, z = sums.w**2 / sums.w2, float(ndtri(1.0 - alpha / 2.0))
    mean, spread = sums.mean, sums.error**2 * n if sums.n > 1 else 0.0
    centre = (n * mean + z * z / 2.0) / (n + z * z)
    variance = (n * (spread + (mean - centre) ** 2) + z * z / 2.0 * (centre**2 + (1.0 - centre) ** 2)) / (n + z * z)
    reach = z * math.sqrt(variance / (n + z * z))
    return Figure(value=mean, low=max(0.0, min(mean, centre - reach)), high=min(1.0, max(mean, centre + reach)), n=int(sums.n))


def on_logit(value: float, error: float, alpha: float) -> tuple[float, float]:
    """Interval of a share with a standard error, by the delta method on the logit; inside [0, 1]."""
    inner = min(max(value, 1e-6), 1.0 - 1e-6)
    reach = float(ndtri(1.0 - alpha / 2.0)) * error / (inner * (1.0 - inner))
    low, high = (float(expit(logit(inner) + side * reach)) for side in (-1.0, 1.0))
    return min(low, value), max(high, value)


def means_of(judged: Mapping[str, Any], what: str) -> Sums:
    """Sums of one loss."""
    found = judged.get("means")
    return (found if isinstance(found, Means) else Means()).sums(what)
