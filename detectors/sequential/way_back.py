"""The end of a change: until it an alarm stays on, and then what came during it leaves the urn again.

Ranks are among the reference and all that came since (`urn`). A change that lasts becomes that past: the evidence fades though nothing is
back, and records that are as before it are then far from it. So what joined the urn since the evidence last rested before an alarm is known
by itself ("aside"), and a monitor is in alarm, whatever its evidence does, until the change is over. Each pane's records are likelier as
they were before it, or as a mixture of that and of what those aside look like. The logarithms of the ratio add up, never below 0 (CUSUM),
and at ln(1/alpha) the change is over. The urn is then what it was before, and evidence begins anew with that pane.

While records are like those aside the ratio is at most 1 in the mean (a harmonic mean is below the arithmetic one; what is as before in
the mixture leaves room for what chance is in those aside), so that an end is told falsely once in 1/alpha panes or more [Page 1954; Lorden
1971, Procedures for reacting to a change in distribution]; the change then alarms again, against an urn that has not learnt it. What they
look like is their share of each of eight groups over what was to be expected there ("tilt"). An hour that the change was not seen in is
taken to look as the others do, with less weight: there it may be smaller. Records since the sum was last 0 are not in the tilt, lest the
way back becomes the picture of the change. All this begins with an alarm: what is promised of the time up to one stays as it is.

Of a small or short change the end may never be told, nor of an alarm about nothing. So it is over as well where evidence has fallen below
half of the way to an alarm and a chi-square test does not tell those aside from the others, or from the reference alone (the way back of a
change that was never told is an alarm about records like the reference's). Then they are past like all others as soon as evidence rests.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import numpy as np
from scipy.special import chdtrc

from detectors.sequential.bets import NOTHING
from detectors.sequential.purse import emptied
from detectors.sequential.recent import begun, is_resting

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
_PART, _PART_UNSEEN = 0.75, 0.4
"""Of the mixture what the change looks like, the rest being as before; in an hour that the change was hardly seen in."""
_FEW = 20
"""So many records that look as the change does over all hours stand beside those of one."""
_CALM = 0.5
"""Evidence below half of the way to an alarm (in logs) does not keep one on."""
_LEVEL, _LEVEL_OF_REFERENCE = 0.01, 0.05
"""Of the tests that tell those aside from the others, and from the reference alone."""


class Urn(Protocol):
    """Of one hour; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def weights(self) -> Floats:
        """Reference rows and records in each cell, shape (cells,)."""

    @property
    def aside(self) -> Cells | None:
        """Of them the records that may be of a change, shape (cells,); None while the evidence rests."""

    @property
    def known(self) -> Floats:
        """Of them the reference rows, or what stands for these, shape (cells,)."""


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
        """That the change is over, in nats, from 0 on; None = there is none. A monitor is in alarm until then."""

    @property
    def tilt(self) -> Floats | None:
        """The change when `log_back` was last 0 (see `_tilt`); None = it is 0."""


S = TypeVar("S", bound=Watched)
U = TypeVar("U", bound=Urn)


def looked_back(state: S, new: Mapping[int, Cells], alpha: float) -> S:
    """Before a pane's step, given the cells that its records fall into, by hour: the state as before the change, if that is over."""
    tilt = _tilt(state.hours) if state.tilt is None else state.tilt
    log_back = max(0.0, (state.log_back or 0.0) + _log_ratio(state.hours, new, tilt))
    if log_back < -math.log(alpha):
        return replace(state, log_back=log_back, tilt=tilt if log_back > 0.0 else None)
    again = {
        "log_m": np.full(len(state.log_m), NOTHING),
        "recent": np.zeros_like(state.recent),
        "purse": emptied(state.purse),
        "gained": 0.0,
    }
    return replace(state, hours=tuple(map(_without, state.hours)), log_back=None, tilt=None, **again)


def set_aside(before: S, after: S, *, is_alarm: bool, log10_e: float, alpha: float) -> S:
    """After a pane's step and its evidence: its records too, unless that rests and no change is on; with an alarm one is."""
    if is_alarm and after.log_back is None:
        after = replace(after, log_back=0.0, recent=begun(after.recent))
    is_on, rests = after.log_back is not None, is_resting(after.recent)
    is_kept = is_on or not rests
    hours = tuple(_aside(*both, is_kept=is_kept) for both in zip(before.hours, after.hours, strict=True))
    if is_on and log10_e <= -_CALM * math.log10(alpha) and not _is_apart(hours):
        hours = tuple(_aside(urn, urn, is_kept=not rests) for urn in hours)
        after = replace(after, log_back=None, tilt=None)
    return replace(after, hours=hours)


def not_over(state: Watched, n: int, *, of: str = "values") -> str:
    """A sentence goes on: of an alarm, after what it says of the latest n records."""
    since_n = sum(int(urn.aside.sum()) for urn in state.hours if urn.aside is not None)
    return "" if since_n <= n else f"; it began {since_n} {of} ago and is not over"


def _log_ratio(urns: tuple[Urn, ...], new: Mapping[int, Cells], tilt: Floats) -> float:
    """How much likelier these records are as before the change than as the mixture, in nats."""
    total, groups = 0.0, _groups(urns)
    for hour, cells in new.items():
        if not _good(urns[hour]).any():
            continue
        counts = np.bincount(groups[hour][cells], minlength=_GROUPS_N)
        total -= float(counts @ np.log(tilt[hour] / (_shares(urns[hour], groups[hour]) @ tilt[hour])))
    return total


def _tilt(urns: tuple[Urn, ...]) -> Floats:
    """The mixture's chance of each group over that of before, for each hour, shape (hours, groups)."""
    each, none = [*zip(urns, _groups(urns), strict=True)], np.zeros(_GROUPS_N)
    found = np.array([none if u.aside is None or not _good(u).any() else _joined(u.aside, groups) for u, groups in each])
    shares = np.array([_shares(urn, groups) for urn, groups in each])
    n = found.sum(axis=1, keepdims=True)
    of_all = (found.sum(axis=0) + _SMOOTH) / ((n * shares).sum(axis=0) + _SMOOTH)
    own = np.divide(found + _FEW * shares * of_all, (n + _FEW) * shares, out=np.ones_like(shares), where=shares > 0.0)
    return np.asarray(1.0 + np.where(n < _FEW, _PART_UNSEEN, _PART) * (own - 1.0), dtype=np.float64)


def _shares(urn: Urn, groups: Cells) -> Floats:
    """Of each group before the change, shape (groups,); 0 of one without cells."""
    counts = _joined(_good(urn), groups) + _SMOOTH * (np.bincount(groups, minlength=_GROUPS_N) > 0)
    return np.asarray(counts / max(_SMOOTH, counts.sum()), dtype=np.float64)


def _groups(urns: tuple[Urn, ...]) -> list[Cells]:
    """Group of each cell of each hour, by the share of records below it before the change: of all hours, where these have as many cells."""
    goods = [_good(urn) for urn in urns]
    known = [good for good in goods if good.any()]
    is_common = len({len(good) for good in known}) == 1
    together = np.sum(known, axis=0) if is_common else np.empty(0)
    return [_group(together if len(together) == len(good) else good) for good in goods]


def _group(good: Floats) -> Cells:
    middles = (np.cumsum(good) - 0.5 * good) / max(1.0, good.sum())
    return np.asarray(np.minimum((middles * _GROUPS_N).astype(np.int64), _GROUPS_N - 1), dtype=np.int64)


def _joined(counts: NDArray[Any], groups: Cells) -> Floats:
    return np.bincount(groups, counts, _GROUPS_N).astype(np.float64)


def _good(urn: Urn) -> Floats:
    return urn.weights if urn.aside is None else urn.weights - urn.aside


def _is_apart(urns: tuple[Urn, ...]) -> bool:
    """Whether those aside are told from the others, and from the reference alone."""
    each = zip(urns, _groups(urns), strict=True)
    found = [[_joined(x, groups) for x in (_good(urn), urn.known, urn.aside)] for urn, groups in each if urn.aside is not None]
    of_good, of_known = ([(good, aside) for good, _, aside in found], [(k if k.any() else good, aside) for good, k, aside in found])
    return _differ(of_good, _LEVEL) and _differ(of_known, _LEVEL_OF_REFERENCE)


def _differ(hours: list[tuple[Floats, Floats]], level: float) -> bool:
    """Whether a chi-square test of two samples, over all hours, tells the second from the first; counts in groups."""
    distance, freedom = 0.0, 0
    for a, b in hours:
        if a.any() and b.any():
            ratio, both = math.sqrt(b.sum() / a.sum()), a + b > 0.0
            distance += float(((a * ratio - b / ratio)[both] ** 2 / (a + b)[both]).sum())
            freedom += int(both.sum()) - 1
    return freedom > 0 and float(chdtrc(freedom, distance)) < level


def _aside(before: U, after: U, *, is_kept: bool) -> U:
    if is_kept and after is not before:
        joined = (after.weights - before.weights).astype(np.int64)
        return replace(after, aside=joined if before.aside is None else before.aside + joined)
    return after if is_kept or after.aside is None else replace(after, aside=None)


def _without(urn: U) -> U:
    return urn if urn.aside is None else replace(urn, weights=urn.weights - urn.aside, aside=None)
