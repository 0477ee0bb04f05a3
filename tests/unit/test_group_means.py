"""Gaps of means between groups: fairlearn's figures on the raw rows, by one look and by the alarm, with weights; which task has which."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, mean_prediction

from daemon.decide.monitors.fairness import fairness
from daemon.settings import ModelSettings
from detectors.group_means import Mean
from detectors.registry import build
from detectors.sketches.confusion import Confusion
from detectors.sketches.judged import judge
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict, Window

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_WINDOW = Window(model="m", version="1", start=_AT, end=_AT, n_seen=0, n=0, sketches={}, confusion=Confusion())
_NONE = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")


def _seen(name: str, window: Window, reference: Reference = _NONE, **settings: Any) -> Verdict:
    detector = build(name, **settings)
    verdict: Verdict = detector.step(detector.start(reference), window)[1]
    return verdict


_LABELS = ("no", "yes")


def _scored(rng: np.random.Generator, n: int, groups: dict[str, Any]) -> Pairs:
    p = rng.beta(2.0, 2.0, n)
    label, predicted = (np.asarray(_LABELS, dtype=object)[(x > 0.5).astype(int)] for x in (rng.random(n) * 0.7 + 0.3 * p, p))
    return Pairs(predicted=predicted, label=label, groups=groups, scores=np.stack([1.0 - p, p], axis=1))


def _mean_world(of: Mean) -> tuple[Pairs, Any]:
    """Weighted pairs, and each pair's figure from the raw rows."""
    rng, n = np.random.default_rng(3), 900
    groups = {"age_band": rng.choice(np.array(["young", "old", "older"], dtype=object), n)}
    nothing, weight = np.full(n, None, dtype=object), rng.choice([1.0, 3.0], n)
    if of in {Mean.SCORE, Mean.CALIBRATION}:
        pairs = replace(_scored(rng, n, groups), weight=weight)
        assert pairs.scores is not None
        raw = pairs.scores[:, 1] if of is Mean.SCORE else (pairs.label == pairs.predicted) - pairs.scores.max(axis=1)
        return pairs, raw
    if of is Mean.QUALITY:
        quality = rng.beta(3.0, 1.0, n)
        return Pairs(predicted=nothing, label=nothing, groups=groups, weight=weight, quality=quality), quality
    given, truth = rng.normal(50.0, 10.0, (2, n))
    pairs = Pairs(predicted=nothing, label=nothing, groups=groups, weight=weight, predicted_value=given, value=truth)
    return pairs, given if of is Mean.VALUE else np.abs(given - truth)


@pytest.mark.parametrize("of", Mean)
def test_a_gap_of_means_is_fairlearns_on_the_raw_rows_with_weights(of: Mean) -> None:
    pairs, raw = _mean_world(of)
    assert pairs.weight is not None
    weigh = {"sample_params": {"sample_weight": pairs.weight}, "sensitive_features": pairs.groups["age_band"]}
    frame = MetricFrame(metrics=mean_prediction, y_true=raw, y_pred=raw, **weigh)
    reference = Reference(columns={"output.value": np.linspace(20.0, 80.0, 101)}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    window = replace(_WINDOW, judged=judge(pairs, _LABELS))
    settings = {"by": "age_band", "labels": _LABELS} | ({} if of is Mean.CALIBRATION else {"of": of, "positive": "yes"})
    verdict = _seen("calibration_gap" if of is Mean.CALIBRATION else "score_gap", window, reference, **settings)
    assert verdict.value == pytest.approx(frame.difference())
    assert verdict.low <= verdict.value <= verdict.high
    assert (verdict.n, verdict.outcome) == (900, Outcome.OK)
    assert verdict.limit == pytest.approx(0.1 * 58.8 if of in {Mean.VALUE, Mean.ERROR} else 0.1)


@pytest.mark.parametrize("of", Mean)
def test_an_alarm_on_means_sees_the_gap_that_fairlearn_sees_and_weighs(of: Mean) -> None:
    pairs, raw = _mean_world(of)
    assert pairs.weight is not None
    weigh = {"sample_params": {"sample_weight": pairs.weight}, "sensitive_features": pairs.groups["age_band"]}
    low, high = (20.6, 79.4) if of is Mean.VALUE else (0.0, 58.8) if of is Mean.ERROR else (-np.inf, np.inf)
    raw = np.clip(raw, low, high)
    frame = MetricFrame(metrics=mean_prediction, y_true=raw, y_pred=raw, **weigh)
    reference = Reference(columns={"output.value": np.linspace(20.0, 80.0, 101)}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    settings = {"by": "age_band", "labels": _LABELS, "most_weight": 3.0}
    settings |= {} if of is Mean.CALIBRATION else {"of": of, "positive": "yes"}
    detector = build("fairness_calibration_gap" if of is Mean.CALIBRATION else "fairness_score_gap", **settings)
    step = Increment(start=_AT, end=_AT, columns={}, pairs=pairs, n=pairs.n)
    verdict = detector.step(detector.start(reference), step)[1]
    assert verdict.value == pytest.approx(frame.difference())
    assert verdict.low <= verdict.value <= verdict.high


@pytest.mark.parametrize("of", [Mean.VALUE, Mean.ERROR])
@pytest.mark.parametrize("name", ["score_gap", "fairness_score_gap"])
def test_a_reference_whose_answers_reach_the_largest_number_has_a_finite_range(of: Mean, name: str) -> None:
    pairs, _ = _mean_world(of)
    far = np.where(np.arange(100) % 2 == 0, -1e308, 1e308)
    reference = Reference(columns={"output.value": far}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    detector = build(name, by="age_band", of=of)
    window = replace(_WINDOW, judged=judge(pairs, ()))
    step = Increment(start=_AT, end=_AT, columns={}, pairs=pairs, n=pairs.n)
    verdict = detector.step(detector.start(reference), window if name == "score_gap" else step)[1]
    assert verdict.outcome is Outcome.OK
    assert verdict.limit is not None
    assert verdict.limit > 1e37  # a share of the range


def test_numbers_without_a_reference_range_and_groups_without_scores_are_insufficient() -> None:
    numbers, _ = _mean_world(Mean.VALUE)
    window = replace(_WINDOW, judged=judge(numbers, ()))
    assert _seen("score_gap", window, by="age_band", of=Mean.VALUE).outcome is Outcome.INSUFFICIENT
    names = np.array(["no", "yes"], dtype=object)[np.arange(300) % 2]
    plain = Pairs(predicted=names, label=names, groups={"age_band": np.array(["old", "young", "old"] * 100, dtype=object)})
    window = replace(_WINDOW, judged=judge(plain, _LABELS))
    assert _seen("calibration_gap", window, by="age_band", labels=_LABELS).outcome is Outcome.INSUFFICIENT


def test_calibration_by_group_shows_each_groups_side_and_debiased_error() -> None:
    rng, n = np.random.default_rng(5), 4000
    p = rng.uniform(0.5, 1.0, n)
    group = np.array(["old", "young"], dtype=object)[rng.integers(0, 2, n)]
    is_right = rng.random(n) < p - 0.2 * (group == "old")
    predicted = np.full(n, "yes", dtype=object)
    label = np.where(is_right, "yes", "no").astype(object)
    pairs = Pairs(predicted=predicted, label=label, groups={"age_band": group}, scores=np.stack([1.0 - p, p], axis=1))
    window = replace(_WINDOW, judged=judge(pairs, _LABELS))
    verdict = _seen("calibration_gap", window, by="age_band", labels=_LABELS)
    assert verdict.outcome is Outcome.ALARM
    assert 0.13 < verdict.low < 0.2 < verdict.high < 0.25
    assert re.search(r"'old' too sure by 0\.(19|2)\d*, calibration error 0\.(19|2)", verdict.because)


@pytest.mark.parametrize("name", ["fairness_gap", "fairness_calibration_gap", "fairness_score_gap"])
def test_a_pair_that_stands_for_four_counts_as_four(name: str) -> None:
    rng, n = np.random.default_rng(8), 1500
    groups = {"age_band": rng.choice(np.array(["young", "old"], dtype=object), n)}
    pairs, is_kept = _scored(rng, n, groups), np.ones(n, dtype=bool)
    is_hit = (pairs.predicted == "yes") & (groups["age_band"] == "old")
    is_kept[is_hit] = rng.random(int(is_hit.sum())) < 0.25
    kept = pairs.take(is_kept)
    weighed = replace(kept, weight=np.where(is_hit[is_kept], 4.0, 1.0))
    settings: dict[str, Any] = {"by": "age_band", "most_weight": 4.0}
    settings |= {"fairness_gap": {"metric": "demographic_parity_difference", "positive": "yes"}}.get(name, {"labels": _LABELS})
    settings |= {"of": Mean.SCORE, "positive": "yes"} if name == "fairness_score_gap" else {}
    detector = build(name, **settings)
    whole, plain, weighted = (
        detector.step(detector.start(_NONE), Increment(start=_AT, end=_AT, columns={}, pairs=p, n=p.n))[1] for p in (pairs, kept, weighed)
    )
    assert abs(weighted.value - whole.value) < 0.06
    assert weighted.low <= whole.value <= weighted.high
    if name == "fairness_gap":
        assert abs(plain.value - whole.value) > 0.1


def _model(task: str, metrics: list[str], **more: Any) -> ModelSettings:
    columns = {"band": {"kind": "category", "protected": True}, "x": "numeric" if task.startswith("tabular") else "text"}
    monitors = {"fairness": {"by": ["band"], "metrics": metrics}}
    return ModelSettings.model_validate({"name": "m", "task": task, "columns": columns, "monitors": monitors, **more})


@pytest.mark.parametrize(
    ("task", "metric", "more", "built"),
    [
        ("tabular-regression", "score_difference", {}, {"score_gap": Mean.VALUE, "fairness_score_gap": Mean.VALUE}),
        ("tabular-regression", "error_difference", {}, {"score_gap": Mean.ERROR, "fairness_score_gap": Mean.ERROR}),
        ("text-generation", "score_difference", {}, {"score_gap": Mean.QUALITY, "fairness_score_gap": Mean.QUALITY}),
        ("text-classification", "score_difference", {"labels": ["a", "b"]}, {"score_gap": Mean.SCORE, "fairness_score_gap": Mean.SCORE}),
        (
            "text-classification",
            "calibration_difference",
            {"labels": ["a", "b"]},
            {"calibration_gap": None, "fairness_calibration_gap": None},
        ),
    ],
)
def test_each_task_gets_the_mean_that_it_has(task: str, metric: str, more: dict[str, Any], built: dict[str, Mean | None]) -> None:
    found = fairness(_model(task, [metric], sample_ratio=0.5, **more))
    assert {d.name: getattr(d, "of", None) for d in found} == built
    assert [d.most_weight for d in found if hasattr(d, "most_weight")] == [2.0]


@pytest.mark.parametrize("of", [Mean.VALUE, Mean.ERROR])
@pytest.mark.parametrize("apart", [0.0, 20.0])
def test_groups_whose_numbers_are_all_equal_are_told_apart_only_as_well_as_so_many_records_can(of: Mean, apart: float) -> None:
    rng, n = np.random.default_rng(5), 120
    nothing, group = np.full(n, None, dtype=object), np.repeat(np.array(["young", "old"], dtype=object), n // 2)
    given, truth = 50.0 + apart * (group == "old"), np.full(n, 50.0)
    pairs = Pairs(predicted=nothing, label=nothing, groups={"age_band": group}, predicted_value=given, value=truth)
    usual = rng.normal(50.0, 10.0, 500)
    bound = Pairs(predicted=nothing[:1].repeat(500), label=nothing[:1].repeat(500), predicted_value=usual, value=usual)
    reference, window = replace(_NONE, bound=bound), replace(_WINDOW, judged=judge(pairs, ()))
    verdict = _seen("score_gap", window, reference, by="age_band", of=of, maximum=0.1)
    assert verdict.outcome is (Outcome.ALARM if apart else Outcome.OK)
    assert verdict.low <= apart <= verdict.high
    assert verdict.high - verdict.low > 1.0  # of a range of about 47
