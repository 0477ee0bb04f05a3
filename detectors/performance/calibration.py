"""What a class's score means: a monotone calibrator on fixed bins, with the uncertainty that its labelled rows leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detectors.sketches.score_bins import BINS_N, bin_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Of k classes, each against the rest."""

    chance: Floats
    """That the class is true, by bin of its score, (k, bins)."""
    block: NDArray[np.int64]
    """Bins of a class that share one fitted chance have one number, (k, bins)."""
    variance: Floats
    """Of the chance of each block, (k, bins): entry i is block i's; 0 where there is no such block."""
    own: Floats
    """Variance of "the class is true" of one record, by bin of its score, (k, bins)."""
    n: float
    """Effective labelled rows."""


def score_counts(scores: Floats, predicted: NDArray[np.int64], weight: Floats | None = None) -> Floats:
    """Records by class, whether the class was answered, and bin of its score: (k, 2, bins).

    `scores` (n, k), `predicted` (n,) index of the answered class. A row with a missing score is left out.
    """
    given = np.isfinite(scores).all(axis=1)
    rows, answers = scores[given], predicted[given]
    w = None if weight is None else weight[given]
    found = np.empty((scores.shape[1], 2, BINS_N))
    for j in range(scores.shape[1]):
        at = bin_of(np.clip(rows[:, j], 0.0, 1.0)) + BINS_N * (answers == j)
        found[j] = np.bincount(at, w, 2 * BINS_N).reshape(2, BINS_N)
    return found


def calibrate(scores: Floats, label: NDArray[np.int64], weight: Floats | None = None) -> Calibration:
    """Isotonic regression of "class j is true" on the bin of its score, for each class.

    `scores` (n, k), `label` (n,) index of the true class, `weight` (n,) density ratio or 1 / inclusion probability. Bins without a row
    take the chance between their neighbours. Variances are of a chance c with a hit and a miss more in its block: c (1 - c) of one record,
    that by the block's effective rows of the chance (a block without a hit is not known to be without). Cost: O(n k).
    [Zadrozny & Elkan 2002 for isotonic calibration]
    """
    given = np.isfinite(scores).all(axis=1)
    rows, truth = scores[given], label[given]
    w = np.ones(len(truth)) if weight is None else weight[given]
    k = scores.shape[1]
    chance, variance, block = np.full((k, BINS_N), 1.0 / k), np.zeros((k, BINS_N)), np.zeros((k, BINS_N), dtype=np.int64)
    own = np.full((k, BINS_N), 0.25)
    for j in range(k if len(truth) else 0):
        chance[j], block[j], variance[j], own[j] = _fitted(bin_of(np.clip(rows[:, j], 0.0, 1.0)), truth == j, w)
    squares = float(w @ w)
    return Calibration(chance=chance, block=block, variance=variance, own=own, n=float(w.sum()) ** 2 / squares if squares else 0.0)


def _fitted(at: NDArray[np.int64], hit: NDArray[np.bool_], w: Floats) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
    """(chance, block, variance of the blocks, variance of a record) of one class, each (bins,)."""
    total, hits, squares = (np.bincount(at, x, BINS_N) for x in (w, w * hit, w * w))
    used = np.flatnonzero(total > 0.0)
    fit, numbers = isotonic(hits[used] / total[used], np.asarray(total[used], dtype=np.float64))  # (used,) both
    nearest = np.abs(np.arange(BINS_N)[:, None] - used[None, :]).argmin(axis=1)
    of_block = [np.bincount(numbers, x[used]) for x in (total, hits, squares)]
    n = of_block[0] ** 2 / of_block[2]
    c = (of_block[1] / of_block[0] * n + 1.0) / (n + 2.0)
    own, variance, block = c * (1.0 - c), np.zeros(BINS_N), numbers[nearest]
    variance[: len(c)] = own / (n + 2.0)
    return np.interp(np.arange(BINS_N), used, fit), block, variance, own[block]


def isotonic(y: Floats, w: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Least squares of y (n,) by a sequence that never falls, and the number of each entry's block: those that fall are pooled.

    [Ayer et al. 1955, pool adjacent violators] Own code: importing scipy.optimize for it costs a quarter of a second and 24 MB.
    """
    blocks: list[tuple[float, float, int]] = []  # (mean, weight, entries)
    for mean, weight in zip(y.tolist(), w.tolist(), strict=True):
        block = (mean, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            both = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / both, both, before[2] + block[2])
        blocks.append(block)
    sizes = [size for _, _, size in blocks]
    return np.repeat([mean for mean, _, _ in blocks], sizes), np.repeat(np.arange(len(blocks)), sizes)
