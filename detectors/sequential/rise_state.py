"""What is kept of losses that are ranked: an urn for each hour of a rhythm, in the cells that any loss fell into, and the bets' wealth.

Hours of the week, and quarters of hours, are told apart only where bound rows are enough for them: an hour with none has to learn from its
own labels what is usual, and 168 of them see hardly a rise for some weeks. That is decided by the rows' number and times, never by their
losses, so that ranks stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.rhythm import LEAST_ROWS, Rhythm
from detectors.sequential.bets import NOTHING, check_bets, log10_mean
from detectors.sequential.purse import Purse, full_purse
from detectors.sequential.rise_bets import RISE_WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Cells = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LossUrn:
    """The losses of one hour so far (see `urn`)."""

    weights: Floats
    """Bound rows and labelled records in each of the state's cells."""
    aside: Cells | None = None
    """Of them the records since the evidence last rested, and all of a rise that is on (see `way_back`)."""

    @property
    def before(self) -> Floats:
        """Those from before that."""
        return self.weights if self.aside is None else np.asarray(self.weights - self.aside, dtype=np.float64)

    @property
    def known(self) -> Floats:
        """As `before`: bound rows are too few to be compared with alone."""
        return self.before

    def widened(self, places: Cells, n: int) -> LossUrn:
        """With n cells, of which those there were have these places."""
        weights = _placed(self.weights, places, n)
        return LossUrn(weights=weights, aside=None if self.aside is None else _placed(self.aside, places, n))


@dataclass(frozen=True, kw_only=True)
class RiseState:
    """The losses so far, and the wealth of each bet."""

    cells: Cells
    """Those that any loss fell into (see `loss_cells`), ascending: of 258 a model's losses meet some tens, and hours have an urn each."""
    hours: tuple[LossUrn, ...]
    """One for each hour of the rhythm; without one, one."""
    bound_n: int
    recent: Floats
    """Losses in each cell, and with a rhythm records of each hour (see `recent`)."""
    n: int = 0
    """Labelled records that counted so far."""
    log_m: Floats = field(default_factory=lambda: np.full(len(RISE_WEIGHTS), NOTHING))
    purse: Purse = field(default_factory=lambda: full_purse(len(RISE_WEIGHTS)))
    step_n: int = 0
    gained: float = 0.0
    """What ties are held back by (see `ties`): of losses nothing, the tolerance does."""
    log_back: float | None = None
    """That a rise is over (see `way_back`)."""
    tilt: Floats | None = None
    """What the change looks like, while its end is being told (see `way_back`)."""

    def __post_init__(self) -> None:
        check_bets(self.log_m, RISE_WEIGHTS)

    @property
    def log10_e(self) -> float:
        """The evidence; 0 before any label."""
        return log10_mean(self.log_m, RISE_WEIGHTS) if self.step_n else 0.0

    @property
    def cells_n(self) -> int:
        """Of the loss."""
        return int(self.recent.shape[1]) - 1 - hours_in_sums(len(self.hours))

    @property
    def late(self) -> tuple[int, Floats]:
        """(records of a rise that is on; of them what `recent` sums)."""
        aside = np.array([np.zeros(len(self.cells)) if urn.aside is None else urn.aside for urn in self.hours])
        sums = _placed(aside.sum(axis=0), self.cells, self.cells_n)
        return int(aside.sum()), np.append(sums, aside.sum(axis=1)[: hours_in_sums(len(self.hours))])

    @property
    def before(self) -> Floats:
        """Bound rows and labelled records from before a rise, or from before the evidence last rested, in each cell of the loss."""
        return _placed(self._every, self.cells, self.cells_n)

    def alike(self, hours: Floats) -> Floats:
        """Losses from before in each cell of the loss, in the proportions of so many records of each hour; without a rhythm (none) all.

        An hour that has nothing before counts as all of them together.
        """
        if not hours.any():
            return self.before
        each = [urn.before if urn.before.any() else self._every for urn in self.hours]
        mixed = np.sum([n * one / max(1.0, one.sum()) for n, one in zip(hours, each, strict=True)], axis=0)
        return _placed(mixed, self.cells, self.cells_n)

    def told_apart(self, rhythm: Rhythm) -> Rhythm:
        """Which hours it compares within, of a model with this rhythm (see `told_apart`)."""
        return told_apart_by(rhythm, len(self.hours))

    def met(self, cells: Cells) -> RiseState:
        """With these cells of the loss, too."""
        known = np.union1d(self.cells, cells)
        if len(known) == len(self.cells):
            return self
        places = np.searchsorted(known, self.cells)
        return replace(self, cells=known, hours=tuple(urn.widened(places, len(known)) for urn in self.hours))

    @property
    def _every(self) -> Floats:
        """As `before`, in the state's cells."""
        return np.asarray(np.sum([urn.before for urn in self.hours], axis=0), dtype=np.float64)


def _placed(counts: NDArray[Any], places: Cells, n: int) -> NDArray[Any]:
    """Among n cells, 0 in all others."""
    found = np.zeros(n, dtype=counts.dtype)
    found[places] = counts
    return found


def told_apart(rhythm: Rhythm, n: int, timed_n: int) -> Rhythm:
    """Which hours a model's losses are compared within, by n bound rows of which so many carry a time.

    None where no bound row carries one; the hour of the day in place of a finer one that has fewer than `LEAST_ROWS` rows an hour.
    """
    if rhythm is Rhythm.NONE or n > timed_n == 0:
        return Rhythm.NONE
    return rhythm if timed_n >= LEAST_ROWS * rhythm.hours_n else Rhythm.HOUR_OF_DAY


def told_apart_by(rhythm: Rhythm, hours_n: int) -> Rhythm:
    """The same of a state that has so many hours."""
    return next(r for r in (rhythm, Rhythm.HOUR_OF_DAY, Rhythm.NONE) if r.hours_n == hours_n)


def hours_in_sums(hours_n: int) -> int:
    """How many numbers of `recent` are of hours: none where all hours are one."""
    return hours_n if hours_n > 1 else 0
