"""The latest answers, by score and by inputs, and how many of them are right."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from detectors.performance.estimated import Estimated, normal_estimate
from detectors.performance.residual_trees import PARTS_N, SHOWN_N, Trees, parts_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.performance.exact_calibration import ExactCalibration


@dataclass(frozen=True, kw_only=True)
class LatestAnswers:
    """What is known of each, the newest last."""

    chance: NDArray[np.float32]
    """That it is right, by its score, (n,)."""
    block: NDArray[np.int32]
    """Of the calibration, (n,)."""
    moves: NDArray[np.float32]
    """Of the chance, by the inputs, (n, parts); 0 where inputs are not used."""
    leaves: NDArray[np.uint8]
    """(n, trees), see `Trees.read`; 0 where inputs are not used."""

    @classmethod
    def none(cls, n: int = 0) -> Self:
        """No answer, or n about which nothing is known."""
        moves, leaves = np.zeros((n, PARTS_N), np.float32), np.zeros((n, SHOWN_N), np.uint8)
        return cls(chance=np.zeros(n, np.float32), block=np.zeros(n, np.int32), moves=moves, leaves=leaves)

    @property
    def n(self) -> int:
        """How many."""
        return len(self.chance)

    def then(self, newer: Self, most: int) -> Self:
        """Both, the newest `most`."""
        both = {f.name: np.concatenate([getattr(self, f.name), getattr(newer, f.name)])[-most:] for f in fields(self)}
        return type(self)(**both)

    def right(self, calibration: ExactCalibration, trees: Trees | None, *, alpha: float) -> Estimated:
        """The share that is right, of at least one answer.

        The interval: the labels' own chance (Poisson binomial), the calibrator's finite rows and, of `trees` that were read, the jackknife
        over their parts and the size of their move, which is known to one part in t (the share that it was scaled by is a slope).
        """
        each = np.clip(self.chance[:, None].astype(np.float64) + self.moves, 0.0, 1.0)  # (n, parts)
        chance = each.mean(axis=1)
        own = float((chance * (1.0 - chance)).sum()) / self.n**2
        variance = own + calibration.variance_of(self.block.astype(np.int64)) + parts_variance(each.mean(axis=0))
        rows_n = calibration.n
        if trees is not None:
            variance += ((float(chance.mean()) - float(self.chance.mean())) / trees.t) ** 2
            rows_n = min(rows_n, trees.like(self.leaves))
        return normal_estimate(float(chance.mean()), variance, alpha=alpha, n=rows_n)
