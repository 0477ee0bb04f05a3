"""What detectors that read scores share: the classes by number, the calibrator of the labelled reference rows, the window's counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.performance.calibration import Calibration, calibrate
from detectors.sketches.score_counts import ScoreCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs, Reference, Window

    Floats = NDArray[np.float64]


def numbered(names: NDArray[np.object_], labels: Sequence[str]) -> NDArray[np.int64]:
    """Number of each name among the labels, (n,); -1 = none of them."""
    known = {label: j for j, label in enumerate(labels)}
    return np.array([known.get(name, -1) for name in names.tolist()], dtype=np.int64)


def with_scores(bound: Pairs, labels: Sequence[str], *, is_any_answer: bool = False) -> Pairs | None:
    """The labelled reference rows whose scores, answer (unless it may be any) and truth are known; None without one."""
    if bound.scores is None or bound.scores.shape[1] != len(labels):
        return None
    known = (numbered(bound.label, labels) >= 0) & np.isfinite(bound.scores).all(axis=1)
    known &= is_any_answer | (numbered(bound.predicted, labels) >= 0)
    return bound.take(known) if known.any() else None


def calibration_of(reference: Reference, labels: Sequence[str]) -> Calibration:
    """Of every class; n = 0 without labelled reference rows with scores."""
    found = with_scores(reference.bound, labels)
    if found is None or found.scores is None:
        return calibrate(np.empty((0, len(labels))), np.empty(0, dtype=np.int64))
    return calibrate(found.scores, numbered(found.label, labels), found.weight)


def counts_of(window: Window, labels: Sequence[str]) -> Floats:
    """Records of the window by class, answered or not, and bin, (k, 2, bins)."""
    found = window.sketches.get("output.scores", {}).get("scores", ScoreCounts())
    return found.table(labels) if isinstance(found, ScoreCounts) else ScoreCounts().table(labels)
