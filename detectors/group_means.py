"""Means that groups are compared by: what a model gives, how far its confidence is off, how far its numbers are off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from detectors.losses import confidence, losses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs, Reference

    Floats = NDArray[np.float64]

_LARGEST = float(np.finfo(np.float32).max)
_CUT = 0.01
"""Share of the reference's numbers left out at either end of their range."""


class Mean(StrEnum):
    """What is averaged over the labelled records of a group."""

    SCORE = "score"
    """Of classes: the probability that the model gave the favourable label."""
    VALUE = "value"
    """The number that it gave."""
    QUALITY = "quality"
    """What the answer was judged, in [0, 1]."""
    CALIBRATION = "calibration"
    """1 if the answer was right, else 0, less the confidence in it: below 0 the model is too sure of itself."""
    ERROR = "error"
    """Absolute error of a number."""


METRICS: Mapping[Mean, str] = MappingProxyType(
    {
        Mean.SCORE: "score_difference",
        Mean.VALUE: "score_difference",
        Mean.QUALITY: "score_difference",
        Mean.CALIBRATION: "calibration_difference",
        Mean.ERROR: "error_difference",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Where a mean lies, in its own unit: [low, low + unit]. unit 0 = not known."""

    low: float
    unit: float


def cell_of(mean: Mean, positive: str) -> str:
    """Its name in `Means`."""
    named = {Mean.SCORE: f"score[{positive}]", Mean.CALIBRATION: "off_confidence", Mean.ERROR: "absolute_error"}
    return named.get(mean, mean.value)


def range_of(mean: Mean, reference: Reference) -> Range:
    """Of numbers: the width of the middle 98 % of what the model answered in the reference; a gap is a share of that."""
    if mean in {Mean.SCORE, Mean.QUALITY}:
        return Range(low=0.0, unit=1.0)
    if mean is Mean.CALIBRATION:
        return Range(low=-1.0, unit=2.0)
    answers = reference.columns.get("output.value", reference.bound.predicted_value)
    answers = np.zeros(0) if answers is None else np.clip(answers[np.isfinite(answers)], -_LARGEST, _LARGEST)
    low, high = np.quantile(answers, [_CUT, 1.0 - _CUT]).tolist() if len(answers) else (0.0, 0.0)
    return Range(low=0.0 if mean is Mean.ERROR else low, unit=high - low)


def mean_values(pairs: Pairs, labels: Sequence[str], positive: str) -> dict[str, Floats]:
    """Cell name -> value of each pair in its own unit, (n,); NaN = it has none. `labels`: the classes in the order of the scores."""
    found: dict[str, Floats] = {}
    if pairs.scores is not None:
        names = list(labels)
        if positive in names:
            found[cell_of(Mean.SCORE, positive)] = pairs.scores[:, names.index(positive)]
        found[cell_of(Mean.CALIBRATION, positive)] = (1.0 - pairs.loss) - confidence(pairs, labels)
    if pairs.predicted_value is not None:
        found[Mean.VALUE.value] = np.clip(pairs.predicted_value, -_LARGEST, _LARGEST)
    return found


def values_of(mean: Mean, pairs: Pairs, labels: Sequence[str], positive: str) -> Floats:
    """Of one mean, (n,)."""
    found = losses(pairs, ()) if mean in {Mean.QUALITY, Mean.ERROR} else mean_values(pairs, labels, positive)
    return found.get(cell_of(mean, positive), np.full(pairs.n, np.nan))
