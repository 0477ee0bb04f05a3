"""The end of a change: what came during it leaves the urn again, so that the way back is not told as a change of its own.

Ranks are among the reference and all that came since (`urn`). A change that lasts becomes that past, and records that are as before it are
then far from it: 1,500 bad ones beside a reference of 1,000 kept an alarm on for 285 panes after their end. So what joined the urn since
the evidence last rested before an alarm is known by itself ("aside"). Each pane's records are likelier by the urn without it, or by the
urn with it: the logarithms of the ratio add up, never below 0 (CUSUM), and at ln(1/alpha) the change is over. The urn is then what it was
before the change, and evidence begins anew with that pane.

While records are like those aside the ratio is at most 1 in the mean (the urn with them is a mixture, and a harmonic mean is below the
arithmetic one), so that an end is told falsely once in 1/alpha panes or more [Page 1954; Lorden 1971, Procedures for reacting to a change
in distribution]; the change then alarms again, against an urn that has not learnt it. All this begins with an alarm: what is promised of
the time up to one stays as it is.

Of a small or short change the end may never be told, nor of an alarm about nothing. What comes after it then stands aside too, until there
is hardly a change in it. Where evidence rests and a chi-square test does not tell those aside from the others, they are past like all
others: else a later change would be compared with what chance has made of the few before.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
from scipy.special import chdtrc

from detectors.sequential.bets import NOTHING
from detectors.sequential.purse import emptied
from detectors.sequential.recent import is_resting, rested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from detectors.sequential.purse import Purse

    Floats = NDArray[np.float64]
    Cells = NDArray[np.int64]

_SMOOTH = 0.5
"""Records more in each group, so that no ratio is infinite."""
_GROUPS_N = 8
"""Cells are joined to so many, about as frequent before the change: the few rows of a fine cell say little of its chance."""
_LEVEL = 0.01
"""Of the test that tells those aside from the others."""


class Urn(Protocol):
    """Of one hour; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def weights(self) -> Floats:
        """Reference rows and records in each cell, shape (cells,)."""

    @property
    def aside(self) -> Cells | None:
        """Of them the records that may be of a change, shape (cells,); None while the evidence rests."""


class Watched(Protocol):
    """State of a detector of ranks; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def hours(self) -> tuple[Any, ...]:
        """An urn for each hour of the rhythm."""

    @property
    def log_m(self) -> Floats:
        """Wealth of each bet."""

    @property
    def recent(self) -> Floats:
        """See `recent`."""

    @property
    def purse(self) -> Purse:
        """See `purse`."""

    @property
    def log_back(self) -> float | None:
        """That the change is over, in nats, from 0 on; None = there is none."""


S = TypeVar("S", bound=Watched)
U = TypeVar("U", bound=Urn)


def looked_back(state: S, new: Mapping[int, Cells], alpha: float) -> S:
    """Before a pane's step, given the cells that its records fall into, by hour: the state as before the change, if that is over."""
    log_back = max(0.0, (state.log_back or 0.0) + sum(_log_ratio(state.hours[hour], cells) for hour, cells in new.items()))
    if log_back < -math.log(alpha):
        return replace(state, log_back=log_back)
    again = {"log_m": np.full(len(state.log_m), NOTHING), "recent": rested(state.recent), "purse": emptied(state.purse), "gained": 0.0}
    return replace(state, hours=tuple(map(_without, state.hours)), log_back=None, **again)


def set_aside(before: S, after: S, *, is_alarm: bool) -> S:
    """After a pane's step: its records too, unless the evidence rests and no change is on; with an alarm one is."""
    log_back = 0.0 if is_alarm and after.log_back is None else after.log_back
    rests = is_resting(after.recent)
    is_kept = log_back is not None or not rests
    hours = tuple(_aside(*both, is_kept=is_kept) for both in zip(before.hours, after.hours, strict=True))
    if rests and log_back is not None and not _is_apart(hours):
        log_back, hours = None, tuple(_aside(urn, urn, is_kept=False) for urn in hours)
    return replace(after, hours=hours, log_back=log_back)


def _log_ratio(urn: Urn, cells: Cells) -> float:
    """How much likelier these records are without those aside than with them, in nats."""
    if urn.aside is None:
        return 0.0
    good, new = urn.weights - urn.aside, np.bincount(cells, minlength=len(urn.weights)).astype(np.float64)
    without, everything, n = _grouped(good, good, urn.weights, new)
    without, everything = without + _SMOOTH, everything + _SMOOTH
    return float(n @ (np.log(without / without.sum()) - np.log(everything / everything.sum())))


def _grouped(good: Floats, *counts: Floats) -> list[Floats]:
    """Counts in each cell, joined to groups of cells that hold about as many of `good`."""
    middles = (np.cumsum(good) - 0.5 * good) / max(1.0, good.sum())
    starts = np.unique(np.searchsorted(middles, np.arange(_GROUPS_N) / _GROUPS_N))
    return [np.add.reduceat(x, starts[starts < len(good)]) for x in counts]


def _is_apart(urns: tuple[Urn, ...]) -> bool:
    """Whether a chi-square test of two samples, over all hours, tells those aside from the others."""
    distance, freedom = 0.0, 0
    for urn in urns:
        if urn.aside is None or not 0 < urn.aside.sum() < urn.weights.sum():
            continue
        good = urn.weights - urn.aside
        a, b = _grouped(good, good, urn.aside.astype(np.float64))
        ratio, both = math.sqrt(b.sum() / a.sum()), a + b > 0.0
        distance += float(((a * ratio - b / ratio)[both] ** 2 / (a + b)[both]).sum())
        freedom += int(both.sum()) - 1
    return freedom > 0 and float(chdtrc(freedom, distance)) < _LEVEL


def _aside(before: U, after: U, *, is_kept: bool) -> U:
    if is_kept and after is not before:
        joined = (after.weights - before.weights).astype(np.int64)
        return replace(after, aside=joined if before.aside is None else before.aside + joined)
    return after if is_kept or after.aside is None else replace(after, aside=None)


def _without(urn: U) -> U:
    return urn if urn.aside is None else replace(urn, weights=urn.weights - urn.aside, aside=None)
