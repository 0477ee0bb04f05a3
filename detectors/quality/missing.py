"""Values that are missing: nothing was sent, or null."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from detectors.quality.by_hour import LEVEL, ByHour, counted, start_by_hour, step_by_hour
from detectors.quality.fault import UNKNOWN, Fault, Known, Rise, Share, Trials, values_of
from detectors.registry import register
from detectors.rhythm import Rhythm
from detectors.sequential.interval import upper_share
from detectors.sequential.timed_rows import hours_in
from detectors.sketches.counts import Counts
from detectors.sketches.fourier import Fourier
from detectors.sketches.hits import Hits
from detectors.sketches.moments import Moments
from detectors.types import ColumnKind, Eats

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from detectors.quality.fault import RiseState
    from detectors.types import Increment, Reference, Window


@dataclass(frozen=True, kw_only=True)
class _Missing(Fault):
    """A value that is there and does not read as a number is `wrong_type`, not missing."""

    column: str
    """Subject, "input.age"."""

    noun: ClassVar[str] = "are missing"
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.NUMERIC})

    def known(self, reference: Reference) -> Known:
        """Its share of the reference's rows."""
        if self.column not in reference.kinds:
            return UNKNOWN
        is_numeric = reference.kinds[self.column] in {ColumnKind.NUMERIC, ColumnKind.EMBEDDING}
        k, n, _, _ = _counted(reference.sketches.get(self.column, {}), is_numeric=is_numeric)
        return Known(bound=float(upper_share(k, n, self.delta)), n=n, is_numeric=is_numeric) if n else UNKNOWN

    def in_window(self, known: Known, window: Window) -> Trials:
        """Counted in the sketches."""
        return _counted(window.sketches.get(self.column, {}), is_numeric=known.is_numeric)

    def in_increment(self, known: Known, data: Increment, tail: NDArray[np.int64]) -> Trials:
        """NaN or None, without what was there and could not be read."""
        values = values_of(known, data, self.column)
        return Trials(int(is_missing(values).sum()) - self.unreadable(known, data), len(values), tail=tail)

    def unreadable(self, known: Known, data: Increment) -> int:
        """Values of a pane that look missing and are not."""
        return data.wrong.get(self.column, 0) if known.is_numeric else 0


@register("missing")
@dataclass(frozen=True, kw_only=True)
class Missing(_Missing, Share):
    """Share of a column's values that are missing."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age")


@register("missing_rise")
@dataclass(frozen=True, kw_only=True)
class MissingRise(_Missing, Rise):
    """More of a column's values are missing than in the reference, by more than the tolerance: an e-detector.

    With a rhythm each hour is held to its own share of the reference where the reference's hours differ (see `by_hour`).
    """

    rhythm: Rhythm = Rhythm.NONE
    """Which records are compared with each other."""

    assumption: ClassVar[str] = (
        f"{Rise.assumption}; with a rhythm that of its hour, or of all hours where a test (level {LEVEL}) cannot tell the reference's apart"
    )

    def start(self, reference: Reference) -> RiseState:
        """What is fine, at all hours or at each; a reference's number that did not read counts as missing at its hour."""
        if self.rhythm is Rhythm.NONE:
            return super().start(reference)
        state = Rise.start(replace(self, delta=self.delta / 2.0), reference)
        values = reference.columns.get(self.column, np.empty(0))
        hours = hours_in(reference.columns, self.column, len(values), self.rhythm)
        n, k = counted(is_missing(values), hours, self.rhythm.hours_n)
        return start_by_hour(state, n, k, delta=self.delta / 2.0, tolerance=self.tolerance)

    def bet(self, state: RiseState, data: Increment) -> RiseState:
        """On a pane's values; where hours differ what could not be read, of which the rows are not known, is taken off each of them."""
        if not isinstance(state, ByHour):
            return super().bet(state, data)
        values = values_of(state.known, data, self.column)
        hours = hours_in(data.columns, self.column, len(values), self.rhythm, otherwise=data.start.timestamp())
        n, k = counted(is_missing(values), hours, self.rhythm.hours_n)
        return step_by_hour(state, n, np.maximum(k - self.unreadable(state.known, data), 0), alpha=self.alpha)

    def held_to(self, state: RiseState, *, is_alarm: bool) -> tuple[float, str]:
        """The hours' mean limit; hours without one are told."""
        if not isinstance(state, ByHour):
            return state.share.limit, ", alike at all hours" if self.rhythm is not Rhythm.NONE and state.share.n else ""
        few = int((~state.limited).sum())
        aside = f"; {few} of {self.rhythm.hours_n} hours have no limit and are not watched" if few else ""
        return state.limit(is_alarm=is_alarm), f" {self.rhythm.words}{aside}"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.age", alpha=0.01)


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of a column's values are, shape (n,); a vector is where its first number is."""
    nothing: Any = None  # compared value by value
    return np.asarray(
        values == nothing if values.dtype == object else np.isnan(values if values.ndim == 1 else values[:, 0]), dtype=np.bool_
    )


def _counted(sketches: Mapping[str, Any], *, is_numeric: bool) -> Trials:
    found = next((sketches[name] for name in ("counts", "moments", "fourier") if name in sketches), Moments())
    wrong = sketches.get("wrong", Hits()).k if is_numeric else 0
    assert isinstance(found, (Counts, Moments, Fourier))
    return Trials(max(0, found.missing - wrong), found.n + found.missing)
