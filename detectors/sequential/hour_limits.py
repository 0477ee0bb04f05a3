"""What a mean loss is held to at each hour of a rhythm: the bound of hours like it (see `hour_levels`), and what is still fine above that.

A bet on a record of hour h has a mean of at most 1 while the mean loss at h, given the past, is at most the limit of h; so has the product
over the records of any hours. Bounds by hour have half of delta, and the bound of all hours, used where they are not told apart, the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.rhythm import Rhythm, hours_of
from detectors.sequential.hour_levels import levels_of
from detectors.sequential.interval import upper_mean
from detectors.sequential.rise_state import told_apart

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class HourLimits:
    """A number for each hour: the upper bound of its mean loss, or the limit that is made of it."""

    most: Floats
    """Shape (hours,), in [0, 1]; a limit of 1 leaves no room: nothing is bet there."""
    parts: Floats
    """Share of the bound rows at each hour, shape (hours,)."""

    @property
    def mean(self) -> float:
        """Over the bound rows of the hours where it is below 1."""
        weights = self.parts * (self.most < 1.0)
        return float(weights @ self.most / weights.sum()) if weights.any() else 1.0

    @property
    def each(self) -> tuple[tuple[float, float], ...]:
        """(limit, share of the bound rows) of the hours that leave room for one."""
        chosen = self.most < 1.0
        return tuple(zip(self.most[chosen].tolist(), self.parts[chosen].tolist(), strict=True))

    def limits(self, above: Callable[[float], float]) -> HourLimits:
        """Of bounds; `above`: the limit that a bound makes, outside (0, 1) none."""
        found = np.array([above(bound) for bound in self.most.tolist()])
        return HourLimits(most=np.where((found > 0.0) & (found < 1.0), found, 1.0), parts=self.parts)

    def at(self, pairs: Pairs, start: datetime) -> Floats:
        """Of each pair, by the time of its record, shape (n,); `start` of the pane stands for those that carry none."""
        return np.asarray(self.most[hours_of_pairs(pairs, len(self.most), start)], dtype=np.float64)

    @property
    def words(self) -> str:
        """How the limit goes on in a sentence."""
        few = int((self.most == 1.0).sum())
        return f" in the mean of their hours{f'; {few} of {len(self.most)} hours have no limit and are not watched' if few else ''}"


def upper_by_hour(x: Floats, bound: Pairs, rows: Rows, rhythm: Rhythm, delta: float) -> tuple[float, HourLimits | None]:
    """(upper bound of the mean, those of the hours) of losses x in [0, 1] of these bound rows, (n,), n > 0, wrong with chance <= delta.

    None, and one bound for all hours, where these are not told apart; else it is the mean of the hours' bounds, which hold together.
    """
    if (timed := bound_hours(bound, rows, rhythm)) is None:
        return upper_mean(x, delta), None
    by_hour = _each(x, *timed, delta / 2.0)
    return (upper_mean(x, delta / 2.0), None) if by_hour is None else (by_hour.mean, by_hour)


def _each(x: Floats, hours: Rows, hours_n: int, delta: float) -> HourLimits | None:
    """No hour is held to less than a standard error above its own rows and its neighbours'.

    By chance some are in the easier part that should not be, and the hardest of a part is above its mean: at much traffic an alarm, else.
    """
    levels = levels_of(x, hours, hours_n)
    if levels is None:
        return None
    easier, harder = (upper_mean(x[rows], delta / 2.0) for rows in levels.rows)
    most = np.maximum(np.where(levels.is_harder, harder, easier), levels.mean + levels.error)
    return HourLimits(most=np.minimum(1.0, most), parts=levels.n / levels.n.sum())


def bound_hours(bound: Pairs, rows: Rows, rhythm: Rhythm) -> tuple[Rows, int] | None:
    """(hour of each of these bound rows, how many hours there are); None: no rhythm, or none of them carries a time.

    A finer rhythm than the hour of the day counts where rows are enough for it (see `told_apart`).
    """
    ats = np.full(len(rows), np.nan) if bound.at is None else bound.at[rows]
    apart = told_apart(rhythm, len(rows), int(np.isfinite(ats).sum())) if len(rows) else Rhythm.NONE
    return None if apart is Rhythm.NONE else (hours_of(ats, apart), apart.hours_n)


def hours_of_pairs(pairs: Pairs, hours_n: int, start: datetime) -> Rows:
    """Hour of each pair's record, shape (n,)."""
    ats = np.full(pairs.n, np.nan) if pairs.at is None else pairs.at
    rhythm = next(r for r in Rhythm if r.hours_n == hours_n)
    return hours_of(np.where(np.isfinite(ats), ats, start.timestamp()), rhythm)
