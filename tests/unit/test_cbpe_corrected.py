"""Accuracy by the scores and every label so far: near the scores where they are honest, near the truth where they are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.performance.correction import corrected, no_correction, offset_of
from detectors.registry import build
from detectors.types import Increment, Outcome, Pairs, Reference

LABELS = ("no", "yes")
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_offset_that_never_was_stays_none_and_one_that_comes_is_learnt_and_forgotten_again() -> None:
    rng, error = np.random.default_rng(1), 0.02
    found = no_correction(1e-6)
    for _ in range(100):
        found = corrected(found, rng.normal(0.0, error), error**2)
    mean, variance = offset_of(found)
    assert abs(mean) < 0.002
    assert variance < 0.003**2  # the plain mean of 100 blocks has .002, and would not take in a change
    for _ in range(8):
        found = corrected(found, rng.normal(-0.1, error), error**2)
    assert offset_of(found)[0] == pytest.approx(-0.1, abs=0.02)
    for _ in range(4):
        found = corrected(found, rng.normal(0.0, error), error**2)
    assert abs(offset_of(found)[0]) < 0.025


def test_it_is_bayes_rule_while_one_hypothesis_can_be_counted_by_hand() -> None:
    """Of one block with a huge error nothing is learnt: the mean of all spreads remains, by the chance of a change."""
    found = corrected(no_correction(0.0), 0.3, 1e6)
    chance = 0.5 * 0.01 + 0.25 * 0.1 + 0.25 * 0.5
    assert offset_of(found)[1] == pytest.approx(chance * (0.01**2 + 0.05**2 + 0.2**2) / 3.0, rel=1e-4)


def test_labels_that_may_be_chance_hardly_move_the_figure_but_its_interval_knows_both() -> None:
    """One block two standard errors off: who is open to change would move more than twice as far."""
    found = corrected(no_correction(1e-6), -0.06, 0.03**2)
    mean, variance = offset_of(found)
    p = np.exp(found.log_p)
    assert -0.005 < mean < 0.0
    assert float(p @ found.mean) < 2.0 * mean
    assert variance > float(p @ (found.variance + (found.mean - p @ found.mean) ** 2))


def _pairs(rng: np.random.Generator, n: int, off: float) -> Pairs:
    """Confidences from .6 to 1 that are honest but for `off`."""
    sure, answer = rng.uniform(0.6, 1.0, n), rng.integers(0, 2, n)
    is_right, names = rng.random(n) < np.clip(sure + off, 0.0, 1.0), np.array(LABELS, dtype=object)
    scores = np.where(np.arange(2) == answer[:, None], sure[:, None], 1.0 - sure[:, None])
    return Pairs(predicted=names[answer], label=names[np.where(is_right, answer, 1 - answer)], scores=scores)


def _run(rng: np.random.Generator, off: float, *, weighted: bool = False) -> tuple[Any, NDArray[np.float64]]:
    """Twenty panes of 1,000 records and some 50 labels: the last verdict, and the truth of the last 1,000 records."""
    detector: Any = build("cbpe_corrected", labels=LABELS)
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=_pairs(rng, 4000, 0.0), digest=""))
    for i in range(20):
        rows = _pairs(rng, 1000, off if i >= 5 else 0.0)
        pi = np.where(rows.loss > 0.0, 0.1, 0.025) if weighted else np.full(rows.n, 0.05)  # errors are found four times as often
        chosen = rng.random(rows.n) < pi
        few = rows.take(chosen)
        pairs = Pairs(predicted=few.predicted, label=few.label, scores=few.scores, weight=1.0 / pi[chosen] if weighted else None)
        at = START + timedelta(minutes=i)
        columns: dict[str, Any] = {"output.scores": rows.scores, "output.label": rows.predicted}
        pane = Increment(start=at, end=at + timedelta(minutes=1), columns=columns, pairs=pairs, n=rows.n)
        state, verdict = detector.step(state, pane)
    return verdict, 1.0 - rows.loss


def test_it_is_as_near_as_the_scores_where_they_are_honest_and_near_the_truth_where_they_are_not() -> None:
    for off, weighted in ((0.0, False), (-0.15, False), (-0.15, True)):
        runs = [_run(np.random.default_rng([2, seed]), off, weighted=weighted) for seed in range(10)]
        errors = np.array([verdict.value - truth.mean() for verdict, truth in runs])
        held = sum(verdict.low <= truth.mean() <= verdict.high for verdict, truth in runs)
        assert np.abs(errors).mean() < (0.015 if off == 0.0 else 0.03), (off, weighted)  # chance alone: .010; 50 labels alone: .045
        assert held >= 7
        low = sum(verdict.outcome is Outcome.ALARM for verdict, _ in runs)  # all of the interval five points below the reference's .8
        assert low >= 6 if off else low == 0


def test_without_labelled_reference_rows_or_records_it_says_that_it_does_not_know() -> None:
    detector: Any = build("cbpe_corrected", labels=LABELS)
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest=""))
    empty = Increment(start=START, end=START + timedelta(minutes=1), columns={}, pairs=_pairs(np.random.default_rng(3), 50, 0.0), n=0)
    assert detector.step(state, empty)[1].outcome is Outcome.INSUFFICIENT
    with pytest.raises(ValueError, match="of accuracy"):
        build("cbpe_corrected", labels=LABELS, metric="f1", label="yes")
