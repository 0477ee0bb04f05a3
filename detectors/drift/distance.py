"""What the distances between a column of the window and of the reference share: a magnitude, its interval, and a limit set by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from detectors.drift.bins import BinState, bin_state, binned
from detectors.drift.categories import CategoryState, category_state, compared, largest_change
from detectors.drift.cells import Cells, Figure
from detectors.types import Eats, Kind, Outcome, PValue, Score, Verdict

if TYPE_CHECKING:
    from detectors.types import Reference, Window


@dataclass(frozen=True, kw_only=True)
class Distance:
    """One column, one distance. Alarm: the interval's lower end is above `limit`."""

    column: str
    """Subject, "input.age"."""
    alpha: float = 0.01
    """The interval holds with 1 - alpha."""
    limit: float = 0.1
    """The distance from which on the column has moved."""
    min_n: int = 30
    """Fewer records on either side: insufficient."""

    name: ClassVar[str]
    noun: ClassVar[str]
    """What the value is called."""
    most: ClassVar[float] = 1.0
    """No value is larger."""
    kind: ClassVar[Kind] = Kind.INFORMS
    evidence: ClassVar[type[Score]] = Score
    guarantee: ClassVar[str] = (
        "none beyond the interval: the limit is set by hand; at most alpha / 2 of quiet windows have a lower end above 0"
    )
    assumption: ClassVar[str] = "records independent; asymptotic in n"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        PValue(p=1.0, alpha=self.alpha)
        if not 0.0 < self.limit < self.most:
            raise ValueError(f"limit must be in (0, {self.most:g}), got {self.limit}; {type(self).limit:g} is customary")

    @property
    def subject(self) -> str:
        """The column."""
        return self.column

    def told(self, figure: Figure, *, n_before: int, n: int, most_of_all: str = "", is_low: bool = False) -> Verdict:
        """The verdict on a measured distance. `is_low`: it is beyond the limit on the other side, where it has one."""
        is_alarm = is_low or figure.low > self.limit
        because = (
            f"{self.column}: {self.noun} {figure.value:.3f}, between {figure.low:.3f} and {figure.high:.3f}; the limit is {self.limit:g}, "
            f"{'and the interval is beyond it' if is_alarm else 'which the interval does not pass'}{most_of_all}; "
            f"{n} records against {n_before}"
        )
        return self._verdict(Outcome.ALARM if is_alarm else Outcome.OK, figure, n, because)

    def insufficient(self, n: int, because: str) -> Verdict:
        """The widest interval."""
        return self._verdict(Outcome.INSUFFICIENT, Figure(0.0, 0.0, self.most), n, f"{self.column}: {because}")

    def too_few(self, n_before: int, n: int) -> Verdict:
        """One side has less than `min_n`."""
        return self.insufficient(n, f"{n} records in the window, {n_before} in the reference; both need {self.min_n}")

    def _verdict(self, outcome: Outcome, figure: Figure, n: int, because: str) -> Verdict:
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


@dataclass(frozen=True, kw_only=True)
class CategoryDistance(Distance):
    """Of a category column: exact counts; a missing value is a category of its own."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.CATEGORY})
    cost: ClassVar[str] = "O(categories), at most 1,000; counts are exact; no labels"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.channel")

    def measured(self, cells: Cells) -> Figure:
        """The distance of two columns of counts."""
        raise NotImplementedError

    def start(self, reference: Reference) -> CategoryState:
        """The reference's counts."""
        return category_state(reference, self.column)

    def step(self, state: CategoryState, data: Window) -> tuple[CategoryState, Verdict]:
        """One look at a window."""
        names, before, now = compared(state, data, self.column)
        n_before, n = int(before.sum()), int(now.sum())
        if min(n_before, n) < self.min_n:
            return state, self.too_few(n_before, n)
        change = largest_change(names, before / n_before, now / n)
        return state, self.told(self.measured(Cells(before, now)), n_before=n_before, n=n, most_of_all=f", {change}")


@dataclass(frozen=True, kw_only=True)
class BinnedDistance(Distance):
    """Of a numeric column over bins at the reference's quantiles; missing values are a bin of their own.

    A bin's share is a difference of two ranks: each sketch can be off by twice its rank error there, which the interval includes.
    """

    bins: int = 10
    """Deciles; fewer where the reference has ties."""

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.NUMERIC})
    cost: ClassVar[str] = "O(bins + points of the sketch); no labels"

    def __post_init__(self) -> None:
        """Check the settings once, not at the first look."""
        super().__post_init__()
        if self.bins < 2:  # noqa: PLR2004 (one bin compares nothing)
            raise ValueError(f"bins must be at least 2, got {self.bins}; 10 are customary")

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")

    def measured(self, cells: Cells) -> Figure:
        """The distance of two columns of counts."""
        raise NotImplementedError

    def start(self, reference: Reference) -> BinState:
        """Bins at the reference's quantiles, and its counts."""
        return bin_state(reference, self.column, self.bins)

    def step(self, state: BinState, data: Window) -> tuple[BinState, Verdict]:
        """One look at a window."""
        now, rank_error = binned(data.sketches.get(self.column, {}), state.edges)
        n_before, n = round(float(state.counts.sum())), round(float(now.sum()))
        if min(n_before, n) < self.min_n:
            return state, self.too_few(n_before, n)
        is_used = (state.counts + now) > 0
        cells = Cells(state.counts[is_used], now[is_used], 2.0 * state.error, 2.0 * rank_error)
        return state, self.told(self.measured(cells), n_before=n_before, n=n)
