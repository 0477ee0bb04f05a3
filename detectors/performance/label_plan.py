"""Which records to label: unsure ones more often, each with a known probability, so that what the labels say can be weighted back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_UNIFORM = 0.5
"""Part of the labels that are spread evenly: a record whose score is sure and wrong is found, too, and no chance is below n / 2N."""


@dataclass(frozen=True, kw_only=True)
class LabelPlan:
    """Records to label."""

    rows: NDArray[np.int64]
    """Their numbers, ascending, (n,)."""
    probability: Floats
    """Each one's chance to have been chosen, (n,): a label's weight is 1 / this."""
    reach: float
    """Half of the interval of accuracy that these labels are expected to buy, by themselves."""


def label_plan(score: Floats, n: int, *, seed: int, is_even: bool = False, alpha: float = 0.05) -> LabelPlan:
    """N of N records by the score of their answer, (N,), NaN = unknown; `is_even`: each with the same chance.

    The chance of a record is half even, half proportional to sqrt(s (1 - s)), the standard error of "the answer is right" at score s: that
    makes the variance of mean f + (y - f) / pi least for a given number of labels. Exactly n are drawn (systematic sampling). `reach`
    supposes that scores are calibrated; the labels' own interval does not, so the z^2 rows that it adds (see `powered`) are in it.
    Cost: O(N log N).
    [Zrnic & Candès 2024, Active Statistical Inference, arXiv:2403.03208; systematic sampling: Madow 1949]
    """
    s = np.where(np.isfinite(score), np.clip(score, 0.0, 1.0), 0.5)
    doubt = np.sqrt(s * (1.0 - s))
    chance = inclusion(np.ones(len(s)) if is_even else doubt, n)
    if not len(s) or n < 1:
        return LabelPlan(rows=np.empty(0, dtype=np.int64), probability=np.empty(0), reach=1.0)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(s))
    steps = np.floor(np.cumsum(chance[order]) + rng.random() + 1e-9)
    rows = np.sort(order[np.diff(steps, prepend=0.0) > 0.0])
    variance = float((doubt**2 * (1.0 / chance - 1.0)).sum()) / len(s) ** 2
    z2, right = float(ndtri(alpha / 2.0)) ** 2, float(s.mean())
    added = 0.5 * z2 * (right**2 + (1.0 - right) ** 2) / (len(rows) + z2) ** 2
    return LabelPlan(rows=rows, probability=chance[rows], reach=math.sqrt(z2 * (variance + added)))


def inclusion(doubt: Floats, n: int) -> Floats:
    """Chances (N,) that sum to min(n, N), at most 1 each: half even, half proportional to `doubt` >= 0."""
    if n >= len(doubt):
        return np.ones(len(doubt))
    doubt = doubt if doubt.any() else np.ones(len(doubt))
    wish = (1.0 - _UNIFORM) * doubt / doubt.sum() + _UNIFORM / len(doubt)
    chance, is_sure = np.zeros(len(doubt)), np.zeros(len(doubt), dtype=bool)
    for _ in range(len(doubt)):  # those above 1 are certain; the rest of the labels goes to the others
        left = n - int(is_sure.sum())
        chance = np.where(is_sure, 1.0, wish * (left / max(float(wish[~is_sure].sum()), 1e-300)))
        above = ~is_sure & (chance > 1.0)
        if not above.any():
            break
        is_sure |= above
    return chance
