"""Performance without labels: what calibrated scores say about the answers that were given (CBPE, PAPE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtri

from detectors.performance.estimated import Estimated, normal_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.performance.calibration import Calibration

    Floats = NDArray[np.float64]

Metric = Literal["accuracy", "precision", "recall", "f1", "roc_auc"]
LEAST_N = 100.0
"""Fewer effective labelled rows: no figure is given."""
LEAST_COUNTED_N = 20.0
"""Fewer records expected that a class's metric is of: no figure, as `Rated.min_n` has it when their labels are there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Linear:
    """A metric and its slope in the chance of one record of each cell, (k, 2, bins) as the counts."""

    value: float
    slope: Floats


def estimate(
    counts: Floats, calibration: Calibration, metric: Metric, *, label: int | None = None, alpha: float = 0.05
) -> Estimated | None:
    """The metric that these records will turn out to have; `label`: one class, None = mean over the classes.

    None without a record, or where fewer than 20 are expected that the class's metric is of (see `counted`).

    `counts` (k, 2, bins) as of `score_counts`. Expected counts: TP = sum of the calibrated chances over the records answered so, FP, FN
    likewise; ROC AUC from expected positives and negatives of each bin. The interval speaks of the realised metric of THESE records: the
    labels' own chance (Poisson binomial, linearised) and the calibrator's finite labelled rows are in it.
    Assumption: given the score (PAPE: and after weighting, given the features), the chance of a class is what it was in the labelled
    rows; a changed concept is not seen. Cost: O(k bins). [Białek, Kivimäki, Kuberski & Perrakis 2024, arXiv:2401.08348]
    """
    chance = calibration.chance[:, None, :]  # (k, 1, bins)
    n = float(counts[0].sum()) if label is None else counted(counts[label], calibration.chance[label], metric)
    if n < (1.0 if label is None else LEAST_COUNTED_N):
        return None
    found = _linear(counts, chance, metric, label)
    own = float((found.slope**2 * counts * calibration.own[:, None, :]).sum())
    half = (0.5 / n / float(ndtri(alpha / 2.0))) ** 2  # no metric of n records is known to less than half a record
    variance = max(half, own + _of_calibration(found.slope * counts, calibration))
    return normal_estimate(found.value, variance, alpha=alpha, n=calibration.n)


def counted(counts: Floats, chance: Floats, metric: Metric) -> float:
    """Records that one class's metric is expected to be of: answered so (precision), true (recall), either (F1), the rarer of both (AUC).

    `counts` (2, bins), `chance` (bins,).
    """
    answered, true, hits = float(counts[1].sum()), float((counts * chance).sum()), float((counts[1] * chance).sum())
    either = {"precision": answered, "recall": true, "f1": answered + true - hits, "roc_auc": min(true, float(counts.sum()) - true)}
    return either.get(metric, float(counts.sum()))


def _linear(counts: Floats, chance: Floats, metric: Metric, label: int | None) -> _Linear:
    if metric == "accuracy":
        slope = np.zeros_like(counts)
        slope[:, 1] = 1.0 / counts[0].sum()  # of all records: an answer that is none of the classes is wrong
        return _Linear(value=float((slope * counts * chance).sum()), slope=slope)
    classes = range(len(counts)) if label is None else [label]
    slope, value = np.zeros_like(counts), 0.0
    for j in classes:
        one = _auc(counts[j], chance[j]) if metric == "roc_auc" else _ratio(counts[j], chance[j], metric)
        slope[j], value = one.slope / len(classes), value + one.value / len(classes)
    return _Linear(value=value, slope=slope)


def _ratio(counts: Floats, chance: Floats, metric: Metric) -> _Linear:
    """Precision, recall or F1 of one class; 0 where it has no denominator, as scikit-learn has it."""
    hits, answered = float((counts[1] * chance).sum()), float(counts[1].sum())
    true = float((counts * chance).sum())
    slope = np.zeros_like(counts)
    total, most = {"precision": (answered, 1.0), "recall": (true, 1.0)}.get(metric, (answered + true, 2.0))
    if total <= 0.0:
        return _Linear(value=0.0, slope=slope)
    value = most * hits / total
    falls = 0.0 if metric == "precision" else value  # a true class more is in the denominator, too
    slope[1], slope[0] = (most - falls) / total, -falls / total
    return _Linear(value=value, slope=slope)


def _auc(counts: Floats, chance: Floats) -> _Linear:
    """Expected share of (positive, negative) pairs in the right order; one bin: half. 0.5 without either."""
    n = counts.sum(axis=0)  # (bins,)
    up, down = n * chance[0], n * (1.0 - chance[0])
    total_up, total_down = float(up.sum()), float(down.sum())
    if total_up <= 0.0 or total_down <= 0.0:
        return _Linear(value=0.5, slope=np.zeros_like(counts))
    below = np.cumsum(down) - 0.5 * down  # negatives that a positive of the bin beats
    above = total_up - np.cumsum(up) + 0.5 * up  # positives that beat a negative of the bin
    value = float(up @ below) / (total_up * total_down)
    slope = (below - above) / (total_up * total_down) - value * (1.0 / total_up - 1.0 / total_down)
    return _Linear(value=value, slope=np.broadcast_to(slope, counts.shape))


def _of_calibration(mass: Floats, calibration: Calibration) -> float:
    """Variance that the calibrator's blocks bring; `mass` (k, 2, bins): slope times records."""
    found = 0.0
    for j, of_class in enumerate(mass.sum(axis=1)):
        of_block = np.bincount(calibration.block[j], of_class, len(of_class))
        found += float(of_block**2 @ calibration.variance[j])
    return found
