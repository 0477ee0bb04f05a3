"""Estimators without labels and with few: against brute force, ppi-python's figures, simulated coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.performance import priors
from detectors.performance.calibration import Calibration, calibrate, isotonic, score_counts
from detectors.performance.confidence import Metric, estimate
from detectors.performance.label_plan import inclusion, label_plan
from detectors.performance.prediction_powered import powered_mean, powered_ratio
from detectors.performance.priors import by_answers, by_scores
from detectors.registry import build
from detectors.sketches.score_bins import BINS_N
from detectors.types import Outcome, Pairs
from tests.scored_pairs import LABELS, drawn, reference, window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PPI_PYTHON = (0.6950832442706226, 0.8657835838921318)
_METRICS: tuple[Metric, ...] = ("accuracy", "precision", "recall", "f1", "roc_auc")


def _world(rng: np.random.Generator, n: int, k: int = 2) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """(scores that are off by a temperature, answers, truths)."""
    logits = rng.normal(0.0, 2.0, (n, k))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    said = np.exp(1.7 * logits) / np.exp(1.7 * logits).sum(axis=1, keepdims=True)
    return said, p.argmax(axis=1), truth


def _realised(metric: Metric, scores: Floats, answer: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """By counting."""
    tp, fp, fn = (float(((truth == t) & (answer == a)).sum()) for t, a in ((1, 1), (0, 1), (1, 0)))
    if metric == "accuracy":
        return float((truth == answer).mean())
    if metric == "roc_auc":
        up, down = scores[truth == 1, 1], np.sort(scores[truth == 0, 1])
        return float((np.searchsorted(down, up) + np.searchsorted(down, up, side="right")).mean() / (2 * len(down)))
    return {"precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2 * tp + fp + fn)}[metric]


def test_intervals_without_labels_hold_the_realised_figure() -> None:
    # 200 trials at 95 %: fewer than 178 hits happen with probability 3e-4 each if coverage is 95 %
    rng = np.random.default_rng(1)
    hits = dict.fromkeys(_METRICS, 0)
    for _ in range(200):
        scores, _, truth = _world(rng, 800)
        calibration = calibrate(scores, truth)
        scores, answer, truth = _world(rng, 600)
        counts = score_counts(scores, answer)
        for metric in _METRICS:
            found = estimate(counts, calibration, metric, label=None if metric == "accuracy" else 1)
            assert found is not None
            hits[metric] += found.low <= _realised(metric, scores, answer, truth) <= found.high
    assert all(178 <= n <= 199 for n in hits.values()), hits


@pytest.mark.parametrize("metric", _METRICS)
def test_certain_scores_give_the_metric_itself(metric: Metric) -> None:
    """Brute force: when a score says the truth, the expected counts are the counts."""
    rng = np.random.default_rng(2)
    truth, answer = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    sure = np.eye(2)[truth]
    chance = np.repeat([[0.0], [1.0]], BINS_N // 2, axis=0).T  # (1, bins)
    calibration = Calibration(
        chance=np.repeat(chance, 2, axis=0),
        block=np.zeros((2, BINS_N), dtype=np.int64),
        variance=np.zeros((2, BINS_N)),
        own=np.zeros((2, BINS_N)),
        n=1e9,
    )
    found = estimate(score_counts(sure, answer), calibration, metric, label=None if metric == "accuracy" else 1)
    assert found is not None
    assert found.value == pytest.approx(_realised(metric, sure, answer, truth))
    assert 0.0 < found.high - found.low <= 1.0 / 100  # half a record to each side; at least 100 count


def test_the_auc_of_calibrated_scores_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(3)
    scores, answer, truth = _world(rng, 40_000)
    found = estimate(score_counts(scores, answer), calibrate(scores, truth), "roc_auc", label=1)
    assert found is not None
    assert found.value == pytest.approx(_realised("roc_auc", scores, answer, truth), abs=0.003)


def test_no_record_gives_no_figure() -> None:
    calibration = calibrate(np.empty((0, 2)), np.empty(0, dtype=np.int64))
    assert estimate(np.zeros((2, 2, BINS_N)), calibration, "accuracy") is None
    assert calibration.n == 0.0


def _ppi_world(rng: np.random.Generator, n: int = 80, many: int = 4000) -> tuple[Floats, Floats, Floats]:
    p = rng.beta(2, 1, many)
    y = (rng.random(many) < p).astype(float)
    return y[:n], p[:n], p[n:]


def test_ppi_agrees_with_ppi_python() -> None:
    """Figures of ppi-python 0.2.3, `ppi_mean_ci(Y, Yhat, Yhat_unlabeled, alpha=0.05)` on the same arrays; it fits lambda on pooled rows.

    Ours is as wide and lies nearer to 1/2, by what the added rows move the labels' mean.
    """
    y, f, rest = _ppi_world(np.random.default_rng(7))
    found, (low, high) = powered_mean(y, f, rest), PPI_PYTHON
    assert found.value == pytest.approx((low + high) / 2.0, abs=0.004)
    assert found.high - found.low == pytest.approx(high - low, abs=0.004)
    z2 = 1.96**2
    shift = (80 * y.mean() + z2 / 2.0) / (80 + z2) - y.mean()
    assert np.allclose((found.low - shift, found.high - shift), PPI_PYTHON, atol=0.004)


def test_ppi_covers_with_known_inclusion_probabilities_and_is_shorter_than_labels_alone() -> None:
    rng = np.random.default_rng(8)
    hits, lengths = 0, []
    for _ in range(300):
        p = rng.beta(2, 1, 3000)
        y = (rng.random(3000) < p).astype(float)
        pi = np.clip(0.02 + 0.16 * (1 - np.abs(2 * p - 1)), 0.0, 1.0)
        rows = rng.random(3000) < pi
        found = powered_mean(y[rows], p[rows], p, 1.0 / pi[rows])
        alone = powered_mean(y[rows], 0.0 * p[rows], 0.0 * p, 1.0 / pi[rows])
        hits += found.low <= y.mean() <= found.high
        lengths.append((found.high - found.low) / (alone.high - alone.low))
    assert 270 <= hits <= 299  # 3e-4 and less at 95 % coverage
    assert np.mean(lengths) < 0.95


def test_predictions_of_records_that_all_have_labels_add_nothing() -> None:
    """The labelled are the many: their means are the same, and what one says of the other is no news."""
    y, f, rest = _ppi_world(np.random.default_rng(9), n=600, many=12_600)
    alone, both = powered_mean(y, 0.0 * f, 0.0 * f), powered_mean(y, f, f)
    assert both.high - both.low == pytest.approx(alone.high - alone.low, rel=0.01)
    of_many = powered_mean(y, f, rest)
    assert of_many.high - of_many.low < 0.95 * (alone.high - alone.low)


def test_a_useless_prediction_costs_nothing_and_a_ratio_is_covered() -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(200):
        scores, answer, truth = _world(rng, 3000)
        rows = rng.random(3000) < 0.1
        y, f = (np.column_stack([2.0 * x * answer, x + answer]) for x in (truth.astype(float), scores[:, 1]))
        found = powered_ratio(y[rows], f[rows], f)
        hits += found.low <= _realised("f1", scores, answer, truth) <= found.high
    assert hits >= 178  # 95 % of 200 is 190; fewer than 178 happens once in 4,000
    y = rng.random(200)
    assert powered_mean(y, rng.random(200), rng.random(5000)).high - powered_mean(y, y * 0, y * 0).high < 0.01


def test_label_shift_is_found_with_its_interval_by_answers_and_by_scores() -> None:
    rng = np.random.default_rng(10)
    prior, now = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    middle = np.eye(3) * 2.0

    def draw(share: Floats, n: int) -> tuple[Floats, NDArray[np.int64]]:
        truth = rng.choice(3, n, p=share)
        x = middle[truth] + rng.normal(size=(n, 3))
        odds = prior * np.exp(x @ middle.T - 0.5 * (middle**2).sum(axis=1))
        return odds / odds.sum(axis=1, keepdims=True), truth

    hits = np.zeros((2, 3))
    for _ in range(200):
        before, truth = draw(prior, 1500)
        after, _ = draw(now, 1200)
        table = np.bincount(3 * before.argmax(axis=1) + truth, minlength=9).reshape(3, 3).astype(float)
        answers = np.bincount(after.argmax(axis=1), minlength=3).astype(float)
        for at, found in enumerate((by_answers(table, answers), by_scores(after, prior))):
            assert found is not None
            assert found.share.sum() == pytest.approx(1.0)
            hits[at] += (found.low <= now) & (now <= found.high)
    assert (hits >= 178).all(), hits  # 95 % of 200 is 190
    assert by_answers(np.full((3, 3), 10.0), answers) is None


def test_shares_are_as_likely_as_any_also_where_scores_hardly_tell_classes_apart_and_take_few_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    prior = np.array([0.2, 0.3, 0.5])
    posterior = rng.dirichlet(prior * 500.0, size=1000)
    share = prior
    for _ in range(4000):  # EM alone, until nothing moves
        mixed = posterior / prior * share
        share = (mixed / mixed.sum(axis=1, keepdims=True)).mean(axis=0)
    steps, step = [], priors._em
    monkeypatch.setattr(priors, "_em", lambda *of: (steps.append(1), step(*of))[1])
    found = by_scores(posterior, prior)
    assert np.log(posterior / prior @ found.share).sum() >= np.log(posterior / prior @ share).sum() - 1e-4
    assert len(steps) < 200


def test_label_shift_keeps_its_level_and_its_interval_holds_and_it_finds_a_shift() -> None:
    # 400 trials at alpha .05: more than 35 alarms (or misses of the interval) happen with probability 6e-4
    rng = np.random.default_rng(11)
    detector = build("label_shift", label="yes", labels=LABELS, alpha=0.05)
    alarms = missed = found = 0
    for _ in range(400):
        state = detector.start(reference(drawn(rng, 400)))
        quiet = detector.step(state, window(drawn(rng, 600), Pairs.empty()))[1]
        alarms += quiet.outcome is Outcome.ALARM
        shifted = detector.step(state, window(drawn(rng, 600, 0.6), Pairs.empty()))[1]
        found += shifted.outcome is Outcome.ALARM
        missed += not shifted.low <= 0.6 <= shifted.high
    assert 6 <= alarms <= 35
    assert missed <= 35
    assert found >= 395


def test_cbpe_on_sketches_holds_the_realised_accuracy_and_abstains_without_labelled_reference_rows() -> None:
    rng = np.random.default_rng(12)
    detector = build("cbpe", metric="accuracy", labels=LABELS)
    hits = 0
    for _ in range(200):
        pairs = drawn(rng, 700)
        verdict = detector.step(detector.start(reference(drawn(rng, 500))), window(pairs, Pairs.empty()))[1]
        hits += verdict.low <= float((pairs.predicted == pairs.label).mean()) <= verdict.high
    assert hits >= 178  # 95 % of 200 is 190
    few = detector.step(detector.start(reference(drawn(rng, 99))), window(drawn(rng, 700), Pairs.empty()))[1]
    assert few.outcome is Outcome.INSUFFICIENT


def test_a_label_plan_draws_exactly_n_with_the_stated_chances() -> None:
    rng = np.random.default_rng(14)
    score = rng.beta(4, 1, 300)
    chance = inclusion(np.sqrt(score * (1 - score)), 60)
    assert chance.sum() == pytest.approx(60.0)
    drawn = np.zeros(300)
    for seed in range(2000):
        plan = label_plan(score, 60, seed=seed)
        assert len(plan.rows) == len(set(plan.rows.tolist())) == 60
        drawn[plan.rows] += 1
    assert np.abs(drawn / 2000 - chance).max() < 5.0 * np.sqrt(0.25 / 2000)
    assert inclusion(np.array([9.0, 0.01, 0.01]), 2).tolist() == pytest.approx([1.0, 0.5, 0.5])
    assert inclusion(np.zeros(4), 2).tolist() == pytest.approx([0.5] * 4)
    assert len(label_plan(np.empty(0), 5, seed=0).rows) == 0


def test_planned_labels_weighted_back_are_as_near_as_promised_and_nearer_than_even_ones() -> None:
    rng = np.random.default_rng(15)
    planned, even, reached = [], [], []
    for seed in range(400):
        p = np.where(rng.random(2000) < 0.8, rng.uniform(0.97, 1.0, 2000), rng.uniform(0.5, 0.7, 2000))
        y = (rng.random(2000) < p).astype(float)
        plan = label_plan(p, 100, seed=seed)
        error = p.mean() + ((y - p)[plan.rows] / plan.probability).sum() / 2000 - y.mean()
        rows = rng.choice(2000, 100, replace=False)
        planned.append(abs(error))
        even.append(abs(p.mean() + (y - p)[rows].mean() - y.mean()))
        reached.append(abs(error) <= plan.reach)
    assert np.mean(planned) < 0.85 * np.mean(even)
    assert np.mean(reached) >= 0.91  # 95 % expected: below 91 % happens less than once in 1,000


def test_isotonic_regression_agrees_with_scipys() -> None:
    from scipy.optimize import isotonic_regression

    rng = np.random.default_rng(16)
    for n in (1, 2, 7, 200):
        for values in (rng.random(n), rng.integers(0, 2, n).astype(float), np.sort(rng.random(n)), -np.sort(rng.random(n))):
            w = rng.uniform(0.1, 5.0, n)
            theirs = isotonic_regression(values, weights=w)
            ours, numbers = isotonic(values, w)
            assert np.allclose(ours, theirs.x)
            assert (np.diff(ours)[np.diff(numbers) == 0] == 0).all()
