"""Losses as numbers in [0, 1], so that one bet fits all: which loss, where an unbounded one is clipped, and its bound at the source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from detectors.losses import losses
from detectors.sequential.interval import upper_share
from detectors.sequential.share import relative_weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

_MOST_STAKE = 0.75
"""Of what would lose everything at once."""
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


def source_loss(bound: Pairs, loss: Loss, labels: Sequence[str], *, delta: float, clip: float | None = None) -> SourceLoss:
    """The bound on the source's mean loss, wrong with probability <= delta when the rows are independent.

    An unbounded loss is clipped at `clip`, or at the largest one of every fifth row: other rows than those that the bound is made of, so
    that the clip is fixed before they are looked at. Then both sides speak of the clipped loss.
    """
    found = loss.of(bound, labels)
    found = found[np.isfinite(found)]
    if loss.is_bounded:
        clip = 1.0
    elif clip is None:
        clip, found = _clip(found), found[~_setters(found)]
    if not len(found) or clip <= 0.0:
        return SourceLoss(clip=clip or 1.0, n=0, upper=1.0)
    return SourceLoss(clip=clip, n=len(found), upper=clip * upper_mean(np.minimum(found, clip) / clip, delta))


def clip_of(bound: Pairs, loss: Loss, labels: Sequence[str]) -> float:
    """Where `source_loss` clips; 1 for a loss in [0, 1], and where nothing says otherwise."""
    if loss.is_bounded:
        return 1.0
    found = loss.of(bound, labels)
    return _clip(found[np.isfinite(found)]) or 1.0


def _setters(found: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(found)) % CLIP_SHARE == 0, dtype=np.bool_)


def _clip(found: Floats) -> float:
    return float(found[_setters(found)].max(initial=0.0))


def upper_mean(x: Floats, delta: float) -> float:
    """Upper bound of the mean of n independent values in [0, 1], shape (n,), wrong with probability <= delta.

    0 and 1 only: exact (Clopper & Pearson 1934). Otherwise the largest m that no moment of the bet prod 1 + l_i (m - x_i) refutes: its mean
    is at most 1 while E[x] >= m, and l_i, the best stake by the variance of the values before, is fixed before x_i is looked at
    (Waudby-Smith & Ramdas 2024, arXiv:2010.09686, section 4.3). O(40 n).
    """
    if not ((x != 0.0) & (x != 1.0)).any():
        return float(upper_share(x.sum(), len(x), delta))
    i = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (i + 1)
    variance = np.concatenate([[0.25], (0.25 + np.cumsum((x - means) ** 2)) / (i + 1)])[:-1]
    wanted = np.sqrt(2.0 * np.log(1.0 / delta) / (len(x) * variance))
    low, high = float(x.mean()), 1.0
    for _ in range(40):
        m = 0.5 * (low + high)
        log_e = np.cumsum(np.log1p(np.minimum(wanted, _MOST_STAKE / (1.0 - m)) * (m - x)))
        low, high = (low, m) if float(log_e.max()) >= np.log(1.0 / delta) else (m, high)
    return high


def usable(pairs: Pairs, loss: Loss, labels: Sequence[str], *, clip: float, most_weight: float) -> tuple[Floats, Floats | None]:
    """(losses over the clip, in [0, 1]; weights over the most, or None) of the pairs that have a loss, shape (at most n,)."""
    found, weight = loss.of(pairs, labels), relative_weight(pairs, most_weight)
    kept = np.isfinite(found)
    return np.minimum(found[kept], clip) / clip, None if weight is None else weight[kept]
