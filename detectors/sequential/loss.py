"""Losses as numbers in [0, 1], so that one bet fits all: which loss, where an unbounded one is clipped, and its bound at the source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.losses import losses
from detectors.rhythm import Rhythm
from detectors.sequential.hour_limits import HourLimits, upper_by_hour
from detectors.sequential.share import relative_weight
from detectors.thinning import is_drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

CLIP_SHARE = 5
"""One bound row in so many sets the clip, and does not count for the bound."""
FROM_MAXIMUM = 10.0
"""Without bound rows a loss is clipped at so many times the maximum."""


class Loss(StrEnum):
    """What one labelled pair costs."""

    ERROR = "error"
    """0 or 1."""
    ABSOLUTE_ERROR = "absolute_error"
    SQUARED_ERROR = "squared_error"
    LOG_LOSS = "log_loss"
    BRIER = "brier"
    """In [0, 1]."""
    QUALITY = "quality"
    """1 less the quality, in [0, 1]."""

    @property
    def is_bounded(self) -> bool:
        """Whether it is in [0, 1] by itself."""
        return self in {Loss.ERROR, Loss.BRIER, Loss.QUALITY}

    def of(self, pairs: Pairs, labels: Sequence[str]) -> Floats:
        """Of each pair, shape (n,); NaN = it has none."""
        if self is Loss.ERROR:
            return pairs.loss
        found = losses(pairs, labels).get(self.value, np.full(pairs.n, np.nan))
        return 1.0 - found if self is Loss.QUALITY else found


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceLoss:
    """What the bound rows say of a loss."""

    clip: float
    """A larger loss counts as this one; the loss divided by it is in [0, 1]."""
    n: int
    """Rows behind the bound; those that set the clip are none of them."""
    upper: float
    """Upper bound of the mean clipped loss, in the loss's own unit."""
    hours: HourLimits | None = None
    """The same at each hour of a rhythm, over the clip; None = hours are not told apart. Then `upper` is the mean of these."""

    def limits(self, above: Callable[[float], float]) -> HourLimits | None:
        """Of hours; `above`: the limit that a bound makes, both in the loss's own unit."""
        return None if self.hours is None else self.hours.limits(lambda upper: above(self.clip * upper) / self.clip)


def source_loss(
    bound: Pairs, loss: Loss, labels: Sequence[str], *, delta: float, clip: float | None = None, rhythm: Rhythm = Rhythm.NONE
) -> SourceLoss:
    """The bound on the source's mean loss, wrong with probability <= delta when the rows are independent.

    An unbounded loss is clipped at `clip`, or at the largest one of a fifth of the rows, drawn: other ones than the bound is made of, so
    that the clip is fixed before they are looked at. Then both sides speak of the clipped loss. With a rhythm each hour has a bound of its
    own where rows that carry a time tell hours apart (see `hour_limits`).
    """
    found = loss.of(bound, labels)
    rows = np.flatnonzero(np.isfinite(found))
    if loss.is_bounded:
        clip = 1.0
    elif clip is None:
        clip, rows = _clip(found[rows]), rows[~_setters(rows)]
    if not len(rows) or clip <= 0.0:
        return SourceLoss(clip=clip or 1.0, n=0, upper=1.0)
    x = np.minimum(found[rows], clip) / clip
    upper, hours = upper_by_hour(x, bound, rows, rhythm, delta)
    return SourceLoss(clip=clip, n=len(rows), upper=clip * upper, hours=hours)


def clip_of(bound: Pairs, loss: Loss, labels: Sequence[str]) -> float:
    """Where `source_loss` clips; 1 for a loss in [0, 1], and where nothing says otherwise."""
    if loss.is_bounded:
        return 1.0
    found = loss.of(bound, labels)
    return _clip(found[np.isfinite(found)]) or 1.0


def _setters(found: Floats | NDArray[np.int64]) -> NDArray[np.bool_]:
    return is_drawn(len(found), math.ceil(len(found) / CLIP_SHARE))


def _clip(found: Floats) -> float:
    return float(found[_setters(found)].max(initial=0.0))


class Usable(NamedTuple):
    """Of the pairs that have a loss, shape (at most n,)."""

    x: Floats
    """Losses over the clip, in [0, 1]."""
    weight: Floats | None
    """Over the most; None = all as heavy as that."""
    limits: Floats | None
    """What each is held to; None = all to the same."""


def usable(pairs: Pairs, loss: Loss, labels: Sequence[str], *, clip: float, most_weight: float, limits: Floats | None = None) -> Usable:
    """What a bet on a mean loss reads; `limits`: of each pair."""
    found, weight = loss.of(pairs, labels), relative_weight(pairs, most_weight)
    kept = np.isfinite(found)
    weight, limits = (None if of is None else of[kept] for of in (weight, limits))
    return Usable(np.minimum(found[kept], clip) / clip, weight, limits)
