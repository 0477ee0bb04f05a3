"""Calibration for production's own inputs: labelled reference rows count as often as recent production has rows like them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.performance.calibration import Calibration, calibrate
from detectors.sequential.logistic import apart, logits
from detectors.sequential.table import Coding, normal_features
from detectors.thinning import is_drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.uint8]

_MOST_WEIGHT = 20.0


class Labelled(NamedTuple):
    """Labelled reference rows, as arrays that a state can hold."""

    codes: Codes
    """Inputs (see `table`), shape (n, columns)."""
    scores: NDArray[np.float32]
    """Shape (n, k)."""
    truth: NDArray[np.int16]
    """Number of the true class, shape (n,)."""

    def calibration(self, coding: Coding, subjects: tuple[str, ...], now: Codes) -> Calibration:
        """Of every class, weighted towards production rows `now`, (m, columns)."""
        key = (self.codes.tobytes(), self.scores.tobytes(), self.truth.tobytes(), now.tobytes())
        return _calibration(key, _Read(coding, subjects, self.scores.shape[1]))


class _Read:
    """How bytes are read; equal wherever the bytes are, for their coding was made from them."""

    def __init__(self, coding: Coding, subjects: tuple[str, ...], classes_n: int) -> None:
        self.coding, self.subjects, self.classes_n = coding, subjects, classes_n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Read) and (self.subjects, self.classes_n) == (other.subjects, other.classes_n)

    def __hash__(self) -> int:
        return hash((self.subjects, self.classes_n))


@lru_cache(maxsize=4)
def _calibration(key: tuple[bytes, bytes, bytes, bytes], read: _Read) -> Calibration:
    """Several metrics ask for the same one."""
    before, now = (np.frombuffer(part, np.uint8).reshape(-1, len(read.subjects)) for part in (key[0], key[3]))
    scores = np.frombuffer(key[1], np.float32).reshape(-1, read.classes_n).astype(np.float64)
    rows = [normal_features(read.coding, read.subjects, codes) for codes in (before, now)]
    return calibrate(scores, np.frombuffer(key[2], np.int16).astype(np.int64), density_ratio(*rows))


def density_ratio(before: Floats, now: Floats) -> Floats:
    """p(now) / p(before) of each row of `before`, (n, features), at most 20, shape (n,); `now` (m, features).

    A logistic regression whose logit is a sum over columns, learnt on half of the rows, drawn, and read off the rest: none speaks for
    itself.
    [Shimodaira 2000; Bickel, Brückner & Scheffer 2009]
    """
    found = np.empty(len(before))
    one = is_drawn(len(before), len(before) // 2)
    for half in (one, ~one):
        coefficients = apart(before[~half], now)
        found[half] = np.exp(np.minimum(logits(coefficients, before[half]), np.log(_MOST_WEIGHT)))
    return found
