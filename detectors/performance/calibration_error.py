"""Calibration error: how far the confidence of an answer is from how often such answers are right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy.special import ndtri

from detectors.performance.figure import NOTHING, Figure, Figured
from detectors.registry import register
from detectors.sketches.score_bins import ANSWER, ScoreBins
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.sketches.confusion import Confusion
    from detectors.sketches.score_bins import Bin

_GROUPS_N = 15


@register("calibration_error")
@dataclass(frozen=True, kw_only=True)
class CalibrationError(Figured):
    """Root of the mean square of (share right - mean confidence) over 15 bins of about equal weight, debiased.

    Each bin's square is too large by the variance of its mean, which is taken off (so a calibrated model has about 0 at any n); the
    interval is that of the square, its variance being 4 d^2 v + 2 v^2 + k/m^3 in each bin (d difference, v = p (1 - p)/m the variance of
    its mean over m pairs, k = p (1 - p) (1 - 6 p (1 - p)) their excess fourth moment). p is the share right with one pair more, which is
    right as often as the bin's confidence says: a bin whose answers are all right is not known to be. Bins hide what cancels within
    them: the true error is at least this, and at least the overall difference, whose interval the upper end includes.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    is_loss: ClassVar[bool] = True
    cost: ClassVar[str] = "O(bins), 200"
    source: ClassVar[str] = "Kumar, Liang & Ma 2019, arXiv:1909.10155; Brocker 2012, Climate Dynamics 39"

    labels: tuple[str, ...]
    """The classes, in the order of the scores."""
    label: str = ANSWER
    """Of one class's score instead of the answer's confidence; empty = the answer's."""
    maximum: float | None = None
    """Alarm when even the interval's lower end is above this."""
    tolerance: float | None = None
    """Or above the upper end of the bound rows' interval by more than this; ignored when `maximum` is given. Both None = report only."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(labels=("not positive", "positive"), tolerance=0.05)

    @property
    def subject(self) -> str:
        """Of the answer, or of one class."""
        return f"calibration_error[label={self.label}]" if self.label else "calibration_error"

    @property
    def classes(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of scores alone)
        """Of merged sketches."""
        found = judged.get("calibration")
        bins = found.bins(self.label) if isinstance(found, ScoreBins) else None
        return NOTHING if bins is None or not isinstance(found, ScoreBins) else calibration_figure(bins, found.n, self.alpha)

    def limit(self, bound: Figure | None) -> float | None:
        """The maximum, or what the bound rows give."""
        if self.maximum is not None or self.tolerance is None or bound is None:
            return self.maximum
        return bound.high + self.tolerance


def calibration_figure(bins: Bin, n: int, alpha: float) -> Figure:
    """The debiased error with its interval."""
    total, z2 = float(bins.w.sum()), float(ndtri(alpha / 2.0)) ** 2
    place = np.minimum((np.cumsum(bins.w) - 0.5 * bins.w) / total * _GROUPS_N, _GROUPS_N - 1).astype(np.int64)  # (bins,)
    w, wy, wr, w2 = (np.bincount(place, x, _GROUPS_N) for x in (bins.w, bins.wy, bins.wr, bins.w2))
    used = w > 0.0
    w, wy, wr, w2 = (x[used] for x in (w, wy, wr, w2))
    mean, share, pairs = wr / w, w / total, w * w / w2
    right = np.clip((wy * pairs / w + wy / w - mean) / (pairs + 1.0), 0.0, 1.0)
    debiased = mean**2 - right * (1.0 - right) / pairs
    square = float(share @ debiased)
    least = 0.5 * z2 / (total**2 / float(w2.sum()) + z2)  # Agresti & Coull's share of mistakes where all pairs are right
    right = np.clip(right, least, 1.0 - least)
    one = right * (1.0 - right)
    spread, fourth = one / pairs, np.maximum(0.0, one * (1.0 - 6.0 * one)) / pairs**3
    reach = math.sqrt(z2 * float(share**2 @ (4.0 * np.maximum(0.0, debiased) * spread + 2.0 * spread**2 + fourth)))
    low, value, high = (math.sqrt(min(1.0, max(0.0, x))) for x in (square - reach, square, square + reach))
    overall = abs(float(share @ mean)) + math.sqrt(z2 * float(share**2 @ spread))
    return Figure(value=value, low=low, high=min(1.0, max(high, overall)), n=n)
