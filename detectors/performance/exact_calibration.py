"""What a class's score means, from the labelled scores themselves: `calibration` without bins, for who keeps rows and not sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.performance.calibration import isotonic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ExactCalibration:
    """Of k classes, each against the rest: blocks of scores that share one fitted chance, class after class."""

    score: Floats
    """Least and greatest labelled score of each block, shape (blocks, 2)."""
    chance: Floats
    """That the class is true, shape (blocks,)."""
    variance: Floats
    """Of the chance, shape (blocks,)."""
    first: Ints
    """Number of each class's first block, and how many blocks there are, shape (k + 1,)."""
    n: float
    """Effective labelled rows."""

    def read(self, scores: Floats, answer: Ints) -> tuple[Floats, Ints]:
        """(chance that the answer is right, its block), shape (n,) both; `scores` (n, k), finite, `answer` (n,) index of its class.

        An answer that is none of the classes (-1) is wrong, and in no block (-1).
        """
        chance, block = np.zeros(len(answer)), np.full(len(answer), -1)
        for j in np.unique(answer[answer >= 0]).tolist():
            rows, own = answer == j, slice(self.first[j], self.first[j + 1])
            p, ends = scores[rows, j], self.score[own]
            chance[rows] = np.interp(p, ends.ravel(), np.repeat(self.chance[own], 2))
            block[rows] = self.first[j] + np.clip(np.searchsorted(ends[:, 0], p, side="right") - 1, 0, len(ends) - 1)
        return chance, block

    def variance_of(self, block: Ints) -> float:
        """What the finite labelled rows bring to the mean chance of records in these blocks, shape (n,)."""
        share = np.bincount(block[block >= 0], minlength=len(self.variance)) / len(block)
        return float(share**2 @ self.variance)


def calibrate_exactly(scores: Floats, label: Ints, weight: Floats | None = None) -> ExactCalibration:
    """Isotonic regression of "class j is true" on its score, for each class; between two blocks the chance is interpolated.

    `scores` (n, k), finite, `label` (n,) index of the true class, `weight` (n,) 1 / inclusion probability; n > 0. Variance of a block:
    c (1 - c) / its effective rows, c with half a hit and half a miss more. Cost: O(n k log n). [Zadrozny & Elkan 2002]
    """
    w = np.ones(len(label)) if weight is None else weight
    found = [_fitted(scores[:, j], label == j, w) for j in range(scores.shape[1])]
    score, chance, variance = (np.concatenate(x) for x in zip(*found, strict=True))
    first = np.append(0, np.cumsum([len(c) for _, c, _ in found]))
    return ExactCalibration(score=score, chance=chance, variance=variance, first=first, n=float(w.sum()) ** 2 / float(w @ w))


def _fitted(p: Floats, hit: NDArray[np.bool_], w: Floats) -> tuple[Floats, Floats, Floats]:
    """(ends, chance, variance) of one class's blocks."""
    values, at = np.unique(p, return_inverse=True)
    total, hits, squares = (np.asarray(np.bincount(at, x), dtype=np.float64) for x in (w, w * hit, w * w))
    fit, block = isotonic(hits / total, total)
    start = np.searchsorted(block, np.arange(block[-1] + 1))
    stop = np.append(start[1:], len(values)) - 1
    of_block = [np.bincount(block, x) for x in (total, hits, squares)]
    n = of_block[0] ** 2 / of_block[2]
    c = (of_block[1] / of_block[0] * n + 0.5) / (n + 1.0)
    return np.stack([values[start], values[stop]], axis=1), fit[start], c * (1.0 - c) / (n + 1.0)
