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
    interval is that of the square, its variance being 4 d^2 v + 2 v^2 in each bin (d difference, v variance of its mean). Bins hide what
    cancels within them: the true error is at least this.
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
    total = float(bins.w.sum())
    place = np.minimum((np.cumsum(bins.w) - 0.5 * bins.w) / total * _GROUPS_N, _GROUPS_N - 1).astype(np.int64)  # (bins,)
    w, wr, w2, w2r, w2rr = (np.bincount(place, x, _GROUPS_N) for x in (bins.w, bins.wr, bins.w2, bins.w2r, bins.w2rr))
    used = w > 0.0
    w, wr, w2, w2r, w2rr = (x[used] for x in (w, wr, w2, w2r, w2rr))
    mean, effective = wr / w, w * w / w2
    spread = np.maximum(0.0, w2rr - 2.0 * mean * w2r + mean**2 * w2) / w**2
    variance = spread * effective / np.maximum(effective - 1.0, 0.5)
    share = w / total
    square = float(share @ (mean**2 - variance))
    error = math.sqrt(float(share**2 @ (4.0 * np.maximum(0.0, mean**2 - variance) * variance + 2.0 * variance**2)))
    reach = float(ndtri(1.0 - alpha / 2.0)) * error
    low, value, high = (math.sqrt(min(1.0, max(0.0, x))) for x in (square - reach, square, square + reach))
    return Figure(value=value, low=low, high=high, n=n)
