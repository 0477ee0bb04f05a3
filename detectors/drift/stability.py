"""The population stability index of two sets of shares, and what errors of the shares can make of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.drift.interval import Slopes


def stability_index(p: NDArray[np.float64], q: NDArray[np.float64]) -> Slopes:
    """Of shares p and q, both (k,), none of them 0; in nats."""
    log = np.log(q / p)
    return Slopes(value=float((q - p) @ log), by_p=-log + 1.0 - q / p, by_q=log + 1.0 - p / q, curvature=1.0)


def sketch_slack(p: NDArray[np.float64], q: NDArray[np.float64], p_error: float, q_error: float) -> tuple[float, float]:
    """How much lower and how much higher the index could be if each share may be off by so much (sums of 1 not asked for)."""
    up, error = np.sign(q - p), p_error + q_error
    if not error:
        return 0.0, 0.0
    part = np.minimum(1.0, np.abs(q - p) / error)  # of the way to each other
    nearer = stability_index(p + up * part * p_error, q - up * part * q_error).value
    apart = [((q + s * q_error).clip(q.min()), (p - s * p_error).clip(p.min())) for s in (1.0, -1.0)]
    further = float(np.max([(y - x) * np.log(y / x) for y, x in apart], axis=0).sum())
    here = stability_index(p, q).value
    return max(0.0, here - nearer), max(0.0, further - here)
