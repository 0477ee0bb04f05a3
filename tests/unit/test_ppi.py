"""Accuracy, F1, precision and recall from few labels and all scores, on a window's sketches: as of the rows, and where they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors.performance.calibration import calibrate
from detectors.performance.prediction_powered import powered_mean, powered_ratio
from detectors.registry import build
from detectors.sketches.score_bins import bin_of
from detectors.types import Outcome, Pairs
from tests.scored_pairs import LABELS, drawn, reference, window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def _spoilt(rng: np.random.Generator, pairs: Pairs) -> NDArray[np.object_]:
    """Labels, half of "yes" become "no"."""
    return np.where((pairs.label == "yes") & (rng.random(pairs.n) < 0.5), "no", pairs.label)


def _drawn(rng: np.random.Generator, pairs: Pairs, label: NDArray[np.object_]) -> Pairs:
    """Labels of unsure answers are asked for eight times as often."""
    assert pairs.scores is not None
    pi = 0.02 + 0.14 * (np.abs(pairs.scores[:, 0] - 0.5) < 0.4)
    rows = rng.random(pairs.n) < pi
    return Pairs(predicted=pairs.predicted[rows], label=label[rows], scores=pairs.scores[rows], weight=1.0 / pi[rows])


def _columns(metric: str, answered: Floats, true: Floats) -> Floats:
    """Numerator and denominator of each row, (n, 2)."""
    hits = answered * true
    return np.column_stack({"f1": (2.0 * hits, answered + true), "precision": (hits, answered), "recall": (hits, true)}[metric])


def test_ppi_on_sketches_is_that_of_the_rows() -> None:
    rng = np.random.default_rng(16)
    known, pairs = drawn(rng, 600), drawn(rng, 3000)
    few = _drawn(rng, pairs, pairs.label)
    detector: Any = build("ppi", labels=LABELS)
    found = detector.step(detector.start(reference(known)), window(pairs, few))[1]
    assert known.scores is not None
    chance = calibrate(known.scores.max(axis=1)[:, None], (known.label != known.predicted).astype(np.int64)).chance[0]
    right, (f, f_all) = (few.label == few.predicted).astype(float), (chance[bin_of(x.scores.max(axis=1))] for x in (few, pairs))  # type: ignore[union-attr]
    expected = powered_mean(right, f, f_all, few.weight)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_ppi_on_sketches_holds_the_true_accuracy_when_scores_lie_and_labels_are_chosen() -> None:
    """Half of what is "yes" is spoilt after the reference."""
    rng = np.random.default_rng(13)
    detector = build("ppi", labels=LABELS)
    hits, narrow = 0, 0
    for _ in range(200):
        state = detector.start(reference(drawn(rng, 600)))
        pairs = drawn(rng, 3000)
        label = _spoilt(rng, pairs)
        verdict = detector.step(state, window(pairs, _drawn(rng, pairs, label)))[1]
        hits += verdict.low <= float((pairs.predicted == label).mean()) <= verdict.high
        narrow += verdict.high - verdict.low < 0.2
    assert hits >= 178
    assert narrow == 200


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
@pytest.mark.parametrize("label", LABELS)
def test_ppi_of_a_class_on_sketches_is_that_of_the_rows(metric: str, label: str) -> None:
    rng, j = np.random.default_rng(17), LABELS.index(label)
    detector: Any = build("ppi_class", metric=metric, label=label, labels=LABELS)
    known, pairs = drawn(rng, 600), drawn(rng, 3000)
    few = _drawn(rng, pairs, pairs.label)
    state = detector.start(reference(known))
    found = detector.step(state, window(pairs, few))[1]
    assert known.scores is not None
    chance = calibrate(known.scores, np.array([LABELS.index(x) for x in known.label])).chance[j]
    np.testing.assert_allclose(state.chance, chance)
    y, f, f_all = (
        _columns(metric, (of.predicted == label).astype(float), true)
        for of, true in (
            (few, (few.label == label).astype(float)),
            (few, chance[bin_of(few.scores[:, j])]),  # type: ignore[index]
            (pairs, chance[bin_of(pairs.scores[:, j])]),  # type: ignore[index]
        )
    )
    expected = powered_ratio(y, f, f_all, few.weight, hit=2.0 if metric == "f1" else 1.0)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert few.weight is not None
    w = few.weight[y[:, 1] > 0.0]
    assert found.n == int(w.sum() ** 2 / (w**2).sum())


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_ppi_of_a_class_on_sketches_holds_when_scores_lie_and_labels_are_chosen(metric: str) -> None:
    """Half of what is "yes" is spoilt after the reference."""
    rng = np.random.default_rng(18)
    detector = build("ppi_class", metric=metric, label="yes", labels=LABELS)
    hits = said = 0
    for _ in range(200):
        state = detector.start(reference(drawn(rng, 600)))
        pairs = drawn(rng, 6000)
        label = _spoilt(rng, pairs)
        verdict = detector.step(state, window(pairs, _drawn(rng, pairs, label)))[1]
        top, bottom = _columns(metric, (pairs.predicted == "yes").astype(float), (label == "yes").astype(float)).sum(axis=0)
        hits += verdict.low <= top / bottom <= verdict.high
        said += verdict.outcome is not Outcome.INSUFFICIENT
    assert said >= 195  # recall is of some 50 labels
    assert hits >= 178  # 95 % of 200 is 190


def test_a_class_is_insufficient_with_labels_of_an_earlier_release_and_with_few_that_count() -> None:
    rng = np.random.default_rng(19)
    detector = build("ppi_class", metric="recall", label="yes", labels=LABELS)
    state, pairs = detector.start(reference(drawn(rng, 600))), drawn(rng, 3000)
    whole = window(pairs, pairs.take(slice(0, 300)))
    assert detector.step(state, whole)[1].outcome is Outcome.OK
    bins = whole.judged["calibration"]
    earlier = replace(bins, cells={cell: sums for cell, sums in bins.cells.items() if cell.group != "answered"})
    for judged in (earlier, earlier.merge(bins)):
        verdict = detector.step(state, replace(whole, judged={"calibration": judged}))[1]
        assert (verdict.outcome, verdict.n) == (Outcome.INSUFFICIENT, 0)
        assert "an earlier release" in verdict.because
        told = build("ppi", labels=LABELS).step(state, replace(whole, judged={"calibration": judged}))[1]
        assert told.outcome is Outcome.OK  # accuracy needs no more than was kept
        assert "an earlier release" not in told.because
    is_yes = np.flatnonzero(pairs.label == "yes")
    few = np.concatenate([is_yes[:29], np.flatnonzero(pairs.label == "no")[:200]])
    verdict = detector.step(state, window(pairs, pairs.take(few)))[1]
    assert (verdict.outcome, verdict.n) == (Outcome.INSUFFICIENT, 29)
    enough = detector.step(state, window(pairs, pairs.take(np.append(few, is_yes[29]))))[1]
    assert (enough.outcome, enough.n) == (Outcome.OK, 30)


def test_ppi_refuses_a_metric_without_its_class() -> None:
    for name, settings in (("ppi", {"metric": "f1", "label": "yes"}), ("ppi_class", {"metric": "accuracy"})):
        with pytest.raises(ValueError, match="it is of"):
            build(name, labels=LABELS, **settings)
    for label in (None, "maybe"):
        with pytest.raises(ValueError, match="f1 needs one of"):
            build("ppi_class", labels=LABELS, metric="f1", label=label)
