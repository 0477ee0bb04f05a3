"""Realised performance beside scikit-learn on the same raw pairs, its intervals, and the bets on bounded losses."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import (
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from detectors.registry import build
from detectors.sequential.interval import upper_mean
from detectors.sequential.loss import Loss, source_loss
from detectors.sketches.confusion import Confusion
from detectors.sketches.judged import judge
from detectors.thinning import is_drawn
from detectors.types import Increment, Outcome, Pairs, Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CLASSES = ("a", "b", "c")
_T = datetime(2026, 1, 1, tzinfo=UTC)


def objects(values: Any) -> NDArray[np.object_]:
    found = np.empty(len(values), dtype=object)
    found[:] = list(values)
    return found


def classes(rng: np.random.Generator, n: int, k: int = 3, *, weighted: bool = False) -> Pairs:
    """Calibrated scores; with weights one in two is kept with .3."""
    scores = np.exp(rng.normal(0.0, 1.5, (n, k)))
    scores /= scores.sum(axis=1, keepdims=True)
    label = (scores.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    names = objects(CLASSES[:k])
    pairs = Pairs(predicted=names[scores.argmax(axis=1)], label=names[label], scores=scores, weight=np.ones(n))
    return thinned(rng, pairs) if weighted else pairs


def thinned(rng: np.random.Generator, pairs: Pairs) -> Pairs:
    pi = rng.choice([1.0, 0.3], pairs.n)
    kept = rng.random(pairs.n) < pi
    few = pairs.take(kept)
    return Pairs(
        predicted=few.predicted,
        label=few.label,
        scores=few.scores,
        value=few.value,
        predicted_value=few.predicted_value,
        weight=1 / pi[kept],
    )


def numbers(rng: np.random.Generator, n: int, error: float = 2.0, *, weighted: bool = False) -> Pairs:
    value, nothing = rng.normal(1000.0, 10.0, n), objects([None] * n)
    pairs = Pairs(predicted=nothing, label=nothing, value=value, predicted_value=value + rng.normal(0.0, error, n), weight=np.ones(n))
    return thinned(rng, pairs) if weighted else pairs


def judged(rng: np.random.Generator, n: int, mean: float = 0.9) -> Pairs:
    nothing = objects([None] * n)
    return Pairs(predicted=nothing, label=nothing, quality=rng.beta(10.0 * mean, 10.0 * (1.0 - mean), n))


def figure(name: str, pairs: Pairs, labels: tuple[str, ...] = (), **settings: Any) -> Any:
    more = {"labels": labels} if labels else {}
    detector: Any = build(name, **more, **settings)
    return detector.figure(Confusion().add(pairs), judge(pairs, labels))


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_are_scikit_learn_s(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    pairs, two, real = (
        classes(rng, 3000, weighted=weighted),
        classes(rng, 3000, 2, weighted=weighted),
        numbers(rng, 3000, weighted=weighted),
    )
    y, said, w = pairs.label.tolist(), pairs.predicted.tolist(), pairs.weight
    for metric, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert figure("macro", pairs, CLASSES, metric=metric).value == pytest.approx(score(y, said, average="macro", sample_weight=w))
    assert figure("log_loss", pairs, CLASSES).value == pytest.approx(log_loss(y, pairs.scores, sample_weight=w))
    assert two.scores is not None
    is_b = two.label == "b"
    expected = brier_score_loss(is_b, two.scores[:, 1], sample_weight=two.weight)
    assert figure("brier", two, CLASSES[:2]).value == pytest.approx(expected)
    auc, bound = roc_auc_score(is_b, two.scores[:, 1], sample_weight=two.weight), 0.5 * 0.1 / 4
    assert figure("roc_auc", two, CLASSES[:2], label="b").value == pytest.approx(auc, abs=bound)
    raw = (real.value, real.predicted_value)
    assert figure("mae", real).value == pytest.approx(mean_absolute_error(*raw, sample_weight=real.weight))
    assert figure("rmse", real).value == pytest.approx(math.sqrt(mean_squared_error(*raw, sample_weight=real.weight)))
    assert figure("r2", real).value == pytest.approx(r2_score(*raw, sample_weight=real.weight))


@pytest.mark.parametrize("weighted", [False, True])
def test_weighted_rates_are_scikit_learn_s(weighted: bool) -> None:
    pairs = classes(np.random.default_rng(2), 2000, weighted=weighted)
    confusion = Confusion().add(pairs)
    y, said, w = pairs.label.tolist(), pairs.predicted.tolist(), pairs.weight
    window: Any = type("W", (), {"confusion": confusion, "judged": {}})()
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        detector: Any = build(name, label="a")
        verdict = detector.step(detector.start(Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="")), window)[1]
        assert verdict.value == pytest.approx(score(y, said, labels=["a"], average="macro", sample_weight=w))


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_hold(weighted: bool) -> None:
    """150 samples of 200 pairs: intervals of .95 hold at least .89 of the time (.95 would miss that 2 times in 1,000)."""
    two = CLASSES[:2]
    kinds = {"log_loss": {"labels": two}, "brier": {"labels": two}, "roc_auc": {"label": "b", "labels": two}, "macro": {"labels": two}}
    named: dict[str, Any] = {name: build(name, **more) for name, more in {**kinds, "mae": {}, "rmse": {}, "r2": {}}.items()}

    def figures(rng: np.random.Generator, n: int, *, weighted: bool) -> dict[str, Any]:
        pairs, real = classes(rng, n, 2, weighted=weighted), numbers(rng, n, weighted=weighted)
        confusion, sketches = Confusion().add(pairs), {**judge(real, ()), "means": judge(pairs, two)["means"]}
        sketches["calibration"] = judge(pairs, two)["calibration"]
        found = {name: detector.figure(confusion, sketches) for name, detector in named.items() if name not in {"mae", "rmse"}}
        return found | {name: named[name].figure(confusion, judge(real, ())) for name in ("mae", "rmse")}

    truth = figures(np.random.default_rng(3), 50_000, weighted=False)
    held = dict.fromkeys(named, 0)
    for seed in range(150):
        for name, found in figures(np.random.default_rng([seed, 4]), 200, weighted=weighted).items():
            held[name] += found.low <= truth[name].value <= found.high
    assert min(held.values()) >= 0.89 * 150, held


def test_a_perfect_model_still_has_intervals() -> None:
    label = objects(["a", "b"] * 100)
    sure = np.where((label == "a")[:, None], [[1.0, 0.0]], [[0.0, 1.0]])
    pairs = Pairs(predicted=label, label=label, scores=sure)
    for name, more in (("roc_auc", {"label": "b"}), ("macro", {}), ("brier", {})):
        found = figure(name, pairs, CLASSES[:2], **more)
        assert found.low < found.high, name
        assert found.low <= found.value <= found.high
    assert figure("roc_auc", pairs.take(label == "a"), CLASSES[:2], label="b").lacks
    assert figure("macro", pairs.take(label == "a"), CLASSES[:2]).lacks


def test_the_bound_on_a_bounded_mean_holds_and_is_tight() -> None:
    rng = np.random.default_rng(5)
    found = [upper_mean(rng.beta(1.0, 9.0, 200), 0.05) for _ in range(400)]
    assert np.mean(np.asarray(found) < 0.1) <= 0.05
    assert np.median(found) < 0.122  # Hoeffding: .187
    hits = (rng.random(300) < 0.1).astype(np.float64)
    assert upper_mean(hits, 0.05) == pytest.approx(float(beta.ppf(0.95, hits.sum() + 1, 300 - hits.sum())))


def test_the_clip_comes_from_rows_that_do_not_count_for_the_bound() -> None:
    pairs = numbers(np.random.default_rng(6), 500)
    found = source_loss(pairs, Loss.ABSOLUTE_ERROR, (), delta=0.01)
    errors = np.abs(np.asarray(pairs.value) - np.asarray(pairs.predicted_value))
    setters = is_drawn(500, 100)
    assert (found.clip, found.n) == (errors[setters].max(), 400)
    clipped = np.minimum(errors[~setters], found.clip)
    assert clipped.mean() < found.upper < 1.25 * clipped.mean()


@pytest.mark.parametrize("batches", [1, 2, 500])
def test_the_bound_of_a_mean_holds_in_whatever_order_the_rows_come(batches: int) -> None:
    """Batches of ever larger losses, drawn within."""
    rng, missed = np.random.default_rng(3), 0
    for _ in range(100):
        parts = np.array_split(np.sort(rng.beta(0.5, 4.0, 500)), batches)
        missed += upper_mean(np.concatenate([rng.permutation(part) for part in parts]), 0.01) < 0.5 / 4.5
    assert missed <= 6  # P(Binomial(100, .01) > 6) < 1e-4; in the order of the rows half of them


def test_losses_that_are_all_as_large_but_for_rounding_have_a_bound() -> None:
    assert upper_mean(np.full(200, 1.0 - 1e-16) - 1e-16 * (np.arange(200) % 2), 0.01) == pytest.approx(1.0)


def run(name: str, make: Callable[[np.random.Generator, int], Pairs], bound: Pairs, n_panes: int, seed: int, **settings: Any) -> list[Any]:
    detector: Any = build(name, **settings)
    state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest=""))
    rng, verdicts = np.random.default_rng([seed, 8]), []
    for _ in range(n_panes):
        state, verdict = detector.step(state, Increment(start=_T, end=_T, columns={}, pairs=make(rng, 20)))
        verdicts.append(verdict)
        if verdict.outcome is Outcome.ALARM:
            break
    return verdicts


@pytest.mark.parametrize(
    ("name", "make", "limit"),
    [
        ("score_floor", judged, {"minimum": 0.9}),
        ("value_ceiling", numbers, {"metric": "mae", "maximum": 2.0 * math.sqrt(2.0 / math.pi)}),
        ("value_ceiling", numbers, {"metric": "rmse", "maximum": 2.0}),
    ],
)
def test_at_the_limit_itself_the_mean_run_is_at_least_as_promised(name: str, make: Callable[..., Pairs], limit: dict[str, Any]) -> None:
    """60 streams of at most 200 panes at 1 / alpha = 40: were the run shorter than 30, fewer would last (exponential runs)."""
    runs = [len(run(name, make, Pairs.empty(), 200, seed, alpha=1 / 40, **limit)) for seed in range(60)]
    alarms = sum(length < 200 for length in runs)
    assert sum(runs) / max(1, alarms) > 30.0


def test_weights_bring_the_bet_to_all_records_not_to_those_that_were_sampled() -> None:
    """Errors are sampled three times as often: unweighted the loss looks like .21, it is .1."""

    def make(rng: np.random.Generator, n: int, *, weighted: bool) -> Pairs:
        is_wrong = rng.random(5 * n) < 0.1
        pi = np.where(is_wrong, 0.9, 0.3)
        kept = rng.random(5 * n) < pi
        label = objects(["a"] * (5 * n))
        predicted = objects(np.where(is_wrong, "b", "a").tolist())
        return Pairs(predicted=predicted[kept], label=label[kept], weight=1 / pi[kept] if weighted else None)

    bound = Pairs(predicted=objects(["a"] * 900 + ["b"] * 100), label=objects(["a"] * 1000))
    for name in ("risk_change", "accuracy_floor"):
        settings = {"alpha": 0.02} | ({"tolerance": 0.03} if name == "risk_change" else {"minimum": 0.86})
        for weighted, is_alarm in ((True, False), (False, True)):
            verdicts = run(
                name, lambda r, n, w=weighted: make(r, n, weighted=w), bound, 60, 1, **settings, most_weight=1 / 0.3 if weighted else 1.0
            )
            assert (verdicts[-1].outcome is Outcome.ALARM) == is_alarm, (name, weighted)
        assert verdicts[-1].limit is not None


def test_an_auc_floor_pairs_records_across_panes_and_notices_a_worse_ranking() -> None:
    def make(rng: np.random.Generator, n: int, signal: float = 2.0) -> Pairs:
        is_b = rng.random(n) < 0.1
        p = 1.0 / (1.0 + np.exp(-rng.normal(np.where(is_b, signal, 0.0))))
        label = objects(np.where(is_b, "b", "a").tolist())
        return Pairs(predicted=label, label=label, scores=np.stack([1 - p, p], axis=1))

    settings = {"label": "b", "labels": CLASSES[:2], "max_drop": 0.1, "alpha": 0.02}
    bound = make(np.random.default_rng(9), 2000)
    quiet = run("auc_floor", make, bound, 150, 1, **settings)
    assert quiet[-1].outcome is Outcome.OK
    assert quiet[-1].low <= 0.92 <= quiet[-1].high
    assert run("auc_floor", lambda r, n: make(r, n, 0.0), bound, 150, 2, **settings)[-1].outcome is Outcome.ALARM


def confident(rng: np.random.Generator, n: int, temperature: float = 1.0) -> Pairs:
    """Two classes; at a temperature below 1 the scores are too sure of themselves."""
    z = rng.normal(0.0, 2.0, n)
    p, q = (1.0 / (1.0 + np.exp(-x)) for x in (z, z * temperature))
    names = objects(CLASSES[:2])
    return Pairs(predicted=names[(p > 0.5).astype(int)], label=names[(rng.random(n) < q).astype(int)], scores=np.stack([1 - p, p], axis=1))


def test_the_calibration_error_is_debiased_and_its_interval_holds() -> None:
    truth, plain = figure("calibration_error", confident(np.random.default_rng(10), 300_000, 0.5), CLASSES[:2]).value, []
    held = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 10])
        found = figure("calibration_error", confident(rng, 500, 0.5), CLASSES[:2])
        held += found.low <= truth <= found.high
        plain.append(figure("calibration_error", confident(rng, 500), CLASSES[:2]))
    assert truth == pytest.approx(0.112, abs=0.004)
    assert held >= 89
    assert sum(found.low == 0.0 for found in plain) >= 95
    assert np.median([found.value for found in plain]) < 0.015  # not debiased it is .04


def test_calibration_alarms_at_false_confidence_and_at_its_null_as_rarely_as_promised() -> None:
    settings = {"labels": CLASSES[:2], "alpha": 1 / 40}
    bound = confident(np.random.default_rng(11), 2000)
    assert run("calibration_change", confident, bound, 80, 1, **settings)[-1].outcome is Outcome.OK
    sure = run("calibration_change", lambda r, n: confident(r, n, 0.4), bound, 80, 2, **settings)[-1]
    assert sure.outcome is Outcome.ALARM
    assert "too sure" in sure.because
    assert sure.value < 0.0
    detector: Any = build("calibration_change", **settings, tolerance=0.0)
    start = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest=""))
    exact = dataclasses.replace(start, low=np.zeros(6), high=np.zeros(6))  # the truth itself is the limit
    lengths = []
    for seed in range(40):
        state, rng, length = exact, np.random.default_rng([seed, 12]), 0
        for _ in range(200):
            length += 1
            state, verdict = detector.step(state, Increment(start=_T, end=_T, columns={}, pairs=confident(rng, 20)))
            if verdict.outcome is Outcome.ALARM:
                break
        lengths.append(length)
    assert sum(lengths) / max(1, sum(length < 200 for length in lengths)) > 28.0
