"""Many verdicts to few, by evidence of the right type: e-values by e-BH and e-LOND, e-detectors by their mean. Never ad hoc in a caller."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from detectors.sequential.purse import share_of_step
from detectors.types import EDetectorValue, EValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def e_bh(evidence: Sequence[EValue], alpha: float) -> NDArray[np.bool_]:
    """Which of the hypotheses to reject so that the false discovery rate is at most alpha, under any dependence.

    Rejects the k* largest, k* = max{k: e_(k) >= d / (alpha k)}. [Wang & Ramdas 2022, JRSS B: e-BH] E-values of e-processes may be taken at
    one common stopping time. An e-detector grows without bound under the null: handing one in is a TypeError.
    """
    _check_e_values(evidence, alpha)
    d = len(evidence)
    log10_e = np.array([item.log10_e for item in evidence], dtype=np.float64)
    order = np.argsort(-log10_e, kind="stable")
    passes = log10_e[order] >= np.log10(d / (alpha * np.arange(1, d + 1)))
    rejected = np.zeros(d, dtype=np.bool_)
    if passes.any():
        rejected[order[: int(np.flatnonzero(passes).max()) + 1]] = True
    return rejected


def e_lond(evidence: Sequence[EValue], alpha: float) -> NDArray[np.bool_]:
    """Which of a stream of hypotheses to reject, each when its e-value comes; the false discovery rate is always at most alpha.

    Rejects the t-th when e_t >= 1/a_t, a_t = alpha g_t (rejections before t + 1), sum g_t = 1. A rejection at t has at least so many
    among all R, so E[false / R] <= sum alpha g_t E[e_t] <= alpha, under any dependence. [e-LOND: Xu & Ramdas 2024, as described in
    arXiv:2506.01452]
    """
    levels = e_lond_levels(evidence, alpha)
    return np.array([item.log10_e >= -math.log10(level) for item, level in zip(evidence, levels, strict=True)], dtype=np.bool_)


def e_lond_levels(evidence: Sequence[EValue], alpha: float) -> list[float]:
    """The level a_t of each hypothesis of the stream: known before its own e-value is, which does not change it."""
    _check_e_values(evidence, alpha)
    levels: list[float] = []
    rejections = 0
    for at, item in enumerate(evidence):
        levels.append(alpha * share_of_step(at + 1) * (1 + rejections))
        rejections += int(item.log10_e >= -math.log10(levels[-1]))
    return levels


def mean_e_value(evidence: Sequence[EValue]) -> EValue:
    """The mean of e-values at one time: an e-value of "all their hypotheses hold", under any dependence.

    Raises:
        ValueError: nothing to average.
        TypeError: evidence of another kind.
    """
    if not evidence:
        raise ValueError("nothing to average: give at least one e-value")
    alpha = min(item.alpha for item in evidence)
    _check_e_values(evidence, alpha)
    logs = np.array([item.log10_e for item in evidence]) * math.log(10.0)
    return EValue(log10_e=max(-300.0, float(logsumexp(logs) - math.log(len(logs))) / math.log(10.0)), alpha=alpha)


def mean_e_detector(evidence: Sequence[EDetectorValue], *, alpha: float, weights: Sequence[float] | None = None) -> EDetectorValue:
    """The weighted mean of e-detectors on the same clock: again an e-detector, under any dependence; its deltas add up.

    Alarm when its log10_e reaches -log10(alpha): mean run length of at least (1 - sum of deltas)/alpha. [Shin, Ramdas & Rinaldo 2022,
    arXiv:2203.03532]

    Raises:
        ValueError: nothing to average, or weights that are negative or do not add up to 1.
        TypeError: evidence of another kind.
    """
    if not evidence:
        raise ValueError("nothing to average: give at least one e-detector's evidence")
    for item in evidence:
        if not isinstance(item, EDetectorValue):
            raise TypeError(f"only e-detectors are averaged, got {type(item).__name__}; combine e-values with `e_bh`")
    shares = np.full(len(evidence), 1.0 / len(evidence)) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(evidence),) or (shares < 0).any() or not math.isclose(float(shares.sum()), 1.0, rel_tol=1e-9):
        raise ValueError(f"weights must be {len(evidence)} numbers >= 0 that add up to 1, got {shares.tolist()}")
    logs = np.array([item.log10_e for item in evidence]) * math.log(10.0)
    log10_e = max(-300.0, float(logsumexp(logs, b=shares)) / math.log(10.0))
    return EDetectorValue(log10_e=log10_e, alpha=alpha, delta=min(0.999999, sum(item.delta for item in evidence)))


def _check_e_values(evidence: Sequence[EValue], alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1), got {alpha}; 0.1 = one false discovery in ten")
    for item in evidence:
        if not isinstance(item, EValue):
            raise TypeError(f"only EValue is taken here, got {type(item).__name__}; average e-detectors with `mean_e_detector`")
