"""What one labelled pair costs, or earns: the figures that are averaged, each with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detectors.types import Pairs

    Floats = NDArray[np.float64]

_LEAST = float(np.finfo(np.float64).eps)
"""A smaller probability counts as this one in the log loss, as in scikit-learn."""
_LARGEST = float(np.finfo(np.float32).max)


def losses(pairs: Pairs, labels: Sequence[str]) -> dict[str, Floats]:
    """Name -> figure of each pair, shape (n,), NaN = this pair has none. `labels`: the classes in the order of `pairs.scores`.

    log_loss: -ln p of the true class, in nats. brier: half the squared distance of the scores from the truth, in [0, 1] (of two classes:
    (p - y)^2 of either). absolute_error, squared_error: in the unit of the value, clipped to the range of float32. quality: in [0, 1].
    """
    found: dict[str, Floats] = {}
    if pairs.scores is not None and len(labels):
        found |= _of_scores(pairs.scores, pairs.label, labels)
    if pairs.value is not None and pairs.predicted_value is not None:
        error = np.clip(np.abs(pairs.predicted_value - pairs.value), 0.0, _LARGEST)
        found |= {"absolute_error": error, "squared_error": error**2}
    if pairs.quality is not None:
        found["quality"] = pairs.quality
    return found


def confidence(pairs: Pairs, labels: Sequence[str]) -> Floats:
    """Probability of the class that was answered, (n,); NaN where it is not one of the labels."""
    p = np.full(pairs.n, np.nan)
    assert pairs.scores is not None
    for j, label in enumerate(labels):
        rows = pairs.predicted == label
        p[rows] = pairs.scores[rows, j]
    return p


def _of_scores(scores: Floats, label: NDArray[np.object_], labels: Sequence[str]) -> dict[str, Floats]:
    """NaN unless every class has a score and the true one is known."""
    truth = np.stack([label == name for name in labels], axis=1)  # (n, k)
    known = np.isfinite(scores).all(axis=1) & truth.any(axis=1)
    p = np.where(truth, scores, 0.0).sum(axis=1)
    log_loss = -np.log(np.clip(p, _LEAST, 1.0))
    brier = np.minimum(1.0, 0.5 * ((scores - truth) ** 2).sum(axis=1))
    return {"log_loss": np.where(known, log_loss, np.nan), "brier": np.where(known, brier, np.nan)}
