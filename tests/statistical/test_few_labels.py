"""Intervals from few labels hold about what they claim, also where the answers are nearly all right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.performance.label_plan import label_plan
from detectors.performance.prediction_powered import powered_mean
from detectors.performance.rate import binomial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.statistical.conftest import Judge

    Floats = NDArray[np.float64]

_MANY, _TRIALS = 3000, 100
_ACCURACIES, _LABELS = (0.5, 0.8, 0.95, 0.976, 0.99), (30, 50, 100, 200, 1000)


def _answers(rng: np.random.Generator, accuracy: float, scores: str) -> tuple[Floats, Floats]:
    """(score of each answer, 1 where it is right)."""
    if scores == "useless":
        return rng.beta(9, 1, _MANY), (rng.random(_MANY) < accuracy).astype(np.float64)
    if scores == "calibrated":
        f = rng.beta(20.0 * accuracy, 20.0 * (1.0 - accuracy), _MANY)
        return f, (rng.random(_MANY) < f).astype(np.float64)
    is_hard = rng.random(_MANY) < 0.6 * (1.0 - accuracy)  # "too sure": 42 of 100 mistakes are among these, the others have .999
    sure = (accuracy - 0.3 * is_hard.mean()) / (1.0 - is_hard.mean())
    return np.where(is_hard, 0.3, 0.999), (rng.random(_MANY) < np.where(is_hard, 0.3, sure)).astype(np.float64)


@pytest.mark.parametrize("accuracy", _ACCURACIES)
@pytest.mark.parametrize("is_planned", [False, True], ids=["even", "planned"])
def test_accuracy_with_predictions_is_where_its_interval_says(judge: Judge, accuracy: float, is_planned: bool) -> None:
    rng = np.random.default_rng([round(1000 * accuracy), is_planned])
    every = []
    for scores in ("calibrated", "too sure", "useless"):
        for n in _LABELS:
            missed = []
            for seed in range(_TRIALS):
                f, y = _answers(rng, accuracy, scores)
                plan = label_plan(f, n, seed=seed, is_even=not is_planned)
                found = powered_mean(y[plan.rows], f[plan.rows], f, 1.0 / plan.probability)
                missed.append(not found.low <= y.mean() <= found.high)
                assert found.high - found.low > 0.0
            judge.failures(f"ppi, accuracy {accuracy}, {scores} scores, {n} labels", np.array(missed), 0.05)
            every += missed
    judge.failures(f"ppi, accuracy {accuracy}, all of these", np.array(every), 0.05)


def test_labels_that_are_all_right_leave_an_interval_as_wide_as_their_number_does() -> None:
    """Whatever the scores: no narrower than Clopper and Pearson's, by three tenths wider at most."""
    rng = np.random.default_rng(1)
    for n in (30, 100, 1000):
        for f in (rng.random(n), np.full(n, 0.999), np.zeros(n)):
            found, exact = powered_mean(np.ones(n), f, rng.random(_MANY)), binomial(n, n, 0.05)
            assert found.high == 1.0
            assert 1.0 <= (1.0 - found.low) / (1.0 - exact.low) <= 1.3


def test_a_label_plan_promises_no_more_than_labels_that_are_all_right_give() -> None:
    for n in (30, 100, 1000):
        plan = label_plan(np.full(5000, 0.99999), n, seed=0)
        found = powered_mean(np.ones(n), np.full(n, 0.99999), np.full(5000, 0.99999), 1.0 / plan.probability)
        assert plan.reach >= 0.5 * (found.high - found.low)
