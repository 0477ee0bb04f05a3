"""ROC AUC of one class against the rest, from the bins of its score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from detectors.performance.figure import NOTHING, Figure, Good, on_logit
from detectors.registry import register
from detectors.sketches.score_bins import ScoreBins
from detectors.types import Eats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.sketches.confusion import Confusion
    from detectors.sketches.score_bins import Bin


@register("roc_auc")
@dataclass(frozen=True, kw_only=True)
class RocAuc(Good):
    """Chance that the class scores higher where it is true than where it is not. Within a bin all scores count as equal.

    So it is off by at most half the share of pairs of pairs that share a bin; the interval is wider by that on both sides. Its error is
    DeLong's, on the logit, and at least Hanley & McNeil's at (AUC P N + 1/2)/(P N + 1), so that a perfect ranking has an interval too.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.PAIRS, Eats.SCORES})
    cost: ClassVar[str] = "O(bins), 200"
    source: ClassVar[str] = "DeLong, DeLong & Clarke-Pearson 1988; Hanley & McNeil 1982"

    label: str
    """The class that is told from the rest."""
    labels: tuple[str, ...]
    """All classes, in the order of the scores."""

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(label="positive", labels=("negative", "positive"), minimum=0.7)

    @property
    def subject(self) -> str:
        """Of one class."""
        return f"roc_auc[label={self.label}]"

    @property
    def classes(self) -> Sequence[str]:
        """The labels."""
        return self.labels

    def figure(self, confusion: Confusion, judged: Mapping[str, Any]) -> Figure:  # noqa: ARG002 (of scores alone)
        """Of merged sketches."""
        found = judged.get("calibration")
        bins = found.bins(self.label) if isinstance(found, ScoreBins) else None
        return NOTHING if bins is None or not isinstance(found, ScoreBins) else auc_figure(bins, found.n, self.alpha)


def auc_figure(bins: Bin, n: int, alpha: float) -> Figure:
    """AUC with its interval."""
    pos, neg = bins.wy, bins.w - bins.wy
    p, q = float(pos.sum()), float(neg.sum())
    if p <= 0.0 or q <= 1e-12 * p:
        return Figure(value=0.5, low=0.0, high=1.0, n=n, lacks="the labels are all of one kind: nothing to rank")
    below = (np.cumsum(neg) - neg + 0.5 * neg) / q  # share of the negatives that a positive of this bin beats
    above = 1.0 - (np.cumsum(pos) - pos + 0.5 * pos) / p
    auc = float(pos @ below) / p
    pos2, neg2 = bins.w2y, bins.w2 - bins.w2y
    variance = float(pos2 @ (below - auc) ** 2) / p**2 + float(neg2 @ (above - auc) ** 2) / q**2
    effective = p * p / float(pos2.sum()), q * q / float(neg2.sum())
    ties = 0.5 * float(pos @ neg) / (p * q)
    low, high = on_logit(auc, math.sqrt(max(variance, _least_variance(auc, *effective))), alpha)
    return Figure(value=auc, low=max(0.0, low - ties), high=min(1.0, high + ties), n=n)


def _least_variance(auc: float, p: float, q: float) -> float:
    """Hanley & McNeil's, at an AUC half a pair short of perfect."""
    a = (max(auc, 1.0 - auc) * p * q + 0.5) / (p * q + 1.0)
    return max(0.0, (a * (1 - a) + (p - 1) * (a / (2 - a) - a * a) + (q - 1) * (2 * a * a / (1 + a) - a * a)) / (p * q))
