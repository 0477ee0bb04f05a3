"""Intervals from few labels hold about what they claim, also where the answers are nearly all right."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.performance.calibration import Calibration, calibrate, score_counts
from detectors.performance.calibration_error import calibration_figure
from detectors.performance.confidence import Metric, estimate
from detectors.performance.label_plan import label_plan
from detectors.performance.prediction_powered import powered_mean, powered_ratio
from detectors.performance.priors import by_answers
from detectors.performance.rate import binomial
from detectors.sketches.score_bins import BINS_N, Bin, binned

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


def _of_class(metric: str, answered: Floats, true: Floats) -> Floats:
    """Numerator and denominator of each row, (n, 2)."""
    hits = answered * true
    return np.column_stack({"f1": (2.0 * hits, answered + true), "precision": (hits, answered), "recall": (hits, true)}[metric])


def _class_world(rng: np.random.Generator, apart: float, share: float, scores: str) -> tuple[Floats, Floats, Floats]:
    """(answered so, truly so, its score), each (n,), of two normal classes. "lying": two in five of the class became the other."""
    true = rng.random(_MANY) < share
    odds = np.exp(apart * rng.normal(apart * true, 1.0) - apart**2 / 2.0) * share / (1.0 - share)
    said = rng.random(_MANY) if scores == "useless" else odds / (1.0 + odds)
    return (odds > 1.0).astype(np.float64), (true & ((scores != "lying") | (rng.random(_MANY) < 0.6))).astype(np.float64), said


@pytest.mark.parametrize("apart", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
@pytest.mark.parametrize("is_planned", [False, True], ids=["even", "planned"])
def test_figures_of_a_class_with_predictions_are_where_their_intervals_say(
    judge: Judge, apart: float, metric: str, is_planned: bool
) -> None:
    """With 30 effective labels that count at least, as the service asks for."""
    rng = np.random.default_rng([round(apart), len(metric), is_planned])
    every = []
    for scores, share, n in itertools.product(("calibrated", "lying", "useless"), (0.05, 0.2, 0.5), (60, 150, 400)):
        missed = []
        for seed in range(_TRIALS):
            answered, true, said = _class_world(rng, apart, share, scores)
            plan = label_plan(np.maximum(said, 1.0 - said), n, seed=seed, is_even=not is_planned)
            y, f = (_of_class(metric, answered, x) for x in (true, said))
            w, (top, bottom) = 1.0 / plan.probability, y.sum(axis=0)
            counted = w[y[plan.rows, 1] > 0.0]
            if counted.sum() ** 2 < 30.0 * (counted**2).sum() or not len(counted):
                continue
            found = powered_ratio(y[plan.rows], f[plan.rows], f, w, hit=2.0 if metric == "f1" else 1.0)
            missed.append(not found.low <= top / bottom <= found.high)
            assert found.high - found.low > 0.0
        if len(missed) >= 50:  # of fewer the class hardly ever has labels enough
            judge.failures(f"ppi_class {metric}, {apart:g} apart, {share:g}, {scores} scores, {n} labels", np.array(missed), 0.05)
        every += missed
    assert len(every) >= 500
    judge.failures(f"ppi_class {metric}, {apart:g} apart, all of these", np.array(every), 0.05)


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


def _bins(p: Floats, is_right: NDArray[np.bool_], w: Floats) -> Bin:
    return Bin(*binned(p, is_right, w).T)


@pytest.mark.parametrize("n", [30, 50, 100, 1000])
@pytest.mark.parametrize(("confidence", "error"), [(0.976, 0.0), (0.9, 0.0), (0.75, 0.0), (0.976, 0.176), (0.99, 0.04)])
@pytest.mark.parametrize("is_planned", [False, True], ids=["even", "planned"])
def test_the_calibration_error_is_where_its_interval_says(judge: Judge, n: int, confidence: float, error: float, is_planned: bool) -> None:
    """Of answers that are right as often as their confidence says, or less often by so much, whatever the confidence."""
    rng = np.random.default_rng([n, round(1000 * confidence), is_planned])
    missed = []
    for _ in range(300):
        p = rng.beta(confidence / (1.0 - confidence), 1.0, n)
        w = rng.choice([1.0, 2.0], n) if is_planned else np.ones(n)
        found = calibration_figure(_bins(p, rng.random(n) < np.maximum(0.0, p - error), w), n, 0.05)
        missed.append(not found.low <= error <= found.high)
        assert found.high > found.low
    judge.failures(f"calibration_error {error}, confidence {confidence}, {n} labels", np.array(missed), 0.05)


def test_a_model_that_is_always_sure_and_right_may_yet_be_wrong_now_and_then(judge: Judge) -> None:
    rng = np.random.default_rng(3)
    for n in (30, 100, 1000):
        found = [calibration_figure(_bins(np.ones(n), rng.random(n) < 0.98, np.ones(n)), n, 0.05) for _ in range(500)]
        judge.failures(f"calibration_error, sure of all, {n} labels", np.array([not f.low <= 0.02 <= f.high for f in found]), 0.05)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.02, 0.1])
@pytest.mark.parametrize(("hit", "false"), [(0.97, 0.002), (1.0, 0.0), (0.8, 0.2)])
@pytest.mark.parametrize("rows_n", [200, 2000])
def test_a_rare_class_s_share_is_where_its_interval_says(judge: Judge, share: float, hit: float, false: float, rows_n: int) -> None:
    rng = np.random.default_rng([round(1000 * share), round(1000 * hit), rows_n])

    def answers(truth: NDArray[np.bool_]) -> NDArray[np.int64]:
        return (rng.random(len(truth)) < np.where(truth, hit, false)).astype(np.int64)

    for n in (100, 200, 1000):
        missed = []
        for _ in range(300):
            known = rng.random(rows_n) < 0.3
            table = np.bincount(2 * answers(known) + known, minlength=4).reshape(2, 2).astype(np.float64)
            found = by_answers(table, np.bincount(answers(rng.random(n) < share), minlength=2).astype(np.float64))
            assert found is not None
            missed.append(not found.low[1] <= share <= found.high[1])
            assert (found.high > found.low).all()
        judge.failures(f"label_shift to {share}, hits {hit}, false {false}, {rows_n} rows, {n} answers", np.array(missed), 0.05)


@pytest.mark.parametrize("apart", [2.0, 4.0, 6.0])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_accuracy_and_f1_without_labels_are_where_their_intervals_say_also_of_good_models(judge: Judge, apart: float, share: float) -> None:
    """Two normal classes so many deviations apart; 300 labelled reference rows or 2,000."""
    rng = np.random.default_rng([round(apart), round(100 * share)])

    def world(n: int) -> tuple[NDArray[np.int64], Floats]:
        truth = (rng.random(n) < share).astype(np.int64)
        odds = np.exp(apart * rng.normal(apart * truth, 1.0) - apart**2 / 2.0) * share / (1.0 - share)
        return truth, np.column_stack([1.0 / (1.0 + odds), odds / (1.0 + odds)])

    metrics: tuple[tuple[Metric, int | None], ...] = (("accuracy", None), ("f1", 1))
    missed: dict[Metric, list[bool]] = {metric: [] for metric, _ in metrics}
    for rows_n in (300, 2000):
        for _ in range(150):
            known, their = world(rows_n)
            truth, scores = world(1000)
            answer = scores.argmax(axis=1)
            counts, calibration = score_counts(scores, answer), calibrate(their, known)
            right, either = truth == answer, (truth == 1) | (answer == 1)
            realised = {"accuracy": right.mean(), "f1": 2.0 * (right & either).sum() / (either.sum() + (right & either).sum())}
            for metric, label in metrics:
                found = estimate(counts, calibration, metric, label=label)
                if found is not None:
                    missed[metric].append(not found.low <= realised[metric] <= found.high)
    assert len(missed["accuracy"]) == 300
    assert len(missed["f1"]) >= 270  # 300 rows may have hardly any of a rare class
    for metric, of_it in missed.items():
        judge.failures(f"cbpe's {metric}, {apart:g} apart, share {share:g}", np.array(of_it), 0.05)


def test_a_class_that_hardly_comes_has_no_figure_before_its_labels() -> None:
    counts = np.zeros((2, 2, BINS_N))
    counts[0, 1, 150] = counts[1, 0, 60] = 190.0
    chance = np.repeat([[0.95], [0.05]], BINS_N, axis=1)
    zeros = np.zeros((2, BINS_N))
    calibration = Calibration(chance=chance, block=zeros.astype(np.int64), variance=zeros, own=chance * (1.0 - chance), n=500.0)
    of_class: tuple[Metric, ...] = ("f1", "precision", "recall", "roc_auc")
    for metric in of_class:
        assert estimate(counts, calibration, metric, label=1) is None  # 9.5 are expected
    for metric in of_class[:3]:
        assert estimate(counts, calibration, metric, label=0) is not None
    assert estimate(3.0 * counts, calibration, "recall", label=1) is not None  # 28.5
