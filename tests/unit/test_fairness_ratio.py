"""The alarm on disparate impact: fairlearn's ratio with weights, its end and its alarm the same thing, its evidence the best null."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_ratio
from numpy.typing import NDArray

from detectors.registry import build
from detectors.sequential.fairness_ratio import _curves
from detectors.sequential.gap import comparisons, grown, log10_gap, no_sums
from detectors.sequential.mean_bets import log_above, log_below
from detectors.types import Increment, Outcome, Pairs, Reference

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_NONE = Reference(columns={}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
_NAMES = np.array(["no", "yes"], dtype=object)


def _increment(rng: np.random.Generator, n: int, old: float, young: float, weight: NDArray[np.float64] | None = None) -> Increment:
    group = rng.choice(np.array(["old", "young"], dtype=object), n)
    given = rng.random(n) < np.where(group == "old", old, young)
    pairs = Pairs(predicted=_NAMES[given.astype(int)], label=_NAMES[rng.integers(0, 2, n)], groups={"band": group}, weight=weight)
    return Increment(start=_AT, end=_AT, columns={}, pairs=pairs, n=n)


def test_its_value_is_fairlearns_with_weights_inside_its_interval() -> None:
    rng = np.random.default_rng(0)
    data = _increment(rng, 1200, 0.4, 0.6, weight=rng.choice([1.0, 3.0], 1200))
    detector = build("fairness_ratio", by="band", positive="yes", most_weight=3.0)
    verdict = detector.step(detector.start(_NONE), data)[1]
    truth, given = ((x == "yes").astype(int) for x in (data.pairs.label, data.pairs.predicted))
    expected = demographic_parity_ratio(truth, given, sensitive_features=data.pairs.groups["band"], sample_weight=data.pairs.weight)
    assert verdict.value == pytest.approx(expected)
    assert 0.3 < verdict.low <= verdict.value <= verdict.high < 1.0
    assert verdict.n == 1200


def test_an_alarm_and_the_upper_end_below_the_minimum_are_the_same_thing_and_name_the_groups() -> None:
    rng = np.random.default_rng(1)
    detector = build("fairness_ratio", by="band", positive="yes", min_n=20)
    state, seen = detector.start(_NONE), set()
    for _ in range(60):
        state, verdict = detector.step(state, _increment(rng, 30, 0.35, 0.7))
        assert (verdict.outcome is Outcome.ALARM) == (verdict.high <= 0.8 and verdict.outcome is not Outcome.INSUFFICIENT)
        seen.add(verdict.outcome)
    assert seen == {Outcome.INSUFFICIENT, Outcome.OK, Outcome.ALARM}
    assert "'old' under 'young'" in verdict.because
    assert 0.4 < verdict.value < 0.6 < verdict.high < 0.8


def test_four_fifths_exactly_and_nothing_favourable_do_not_alarm() -> None:
    rng = np.random.default_rng(2)
    detector = build("fairness_ratio", by="band", positive="yes")
    state = detector.start(_NONE)
    for _ in range(40):
        state, verdict = detector.step(state, _increment(rng, 100, 0.4, 0.5))
        assert verdict.outcome is not Outcome.ALARM
    nobody = detector.step(detector.start(_NONE), _increment(rng, 400, 0.0, 0.0))[1]
    assert nobody.outcome is Outcome.INSUFFICIENT


def test_its_evidence_is_the_best_null_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    group = np.array(["a", "b"], dtype=object)[rng.integers(0, 2, 600)]
    x = (rng.random(600) < np.where(group == "a", 0.8, 0.4)).astype(float)[:, None]
    state = grown(no_sums(1), group, x, rng.uniform(0.3, 1.0, 600))
    of = comparisons(state, 1)
    means = np.linspace(0.001, 0.8, 2000)
    a, b = (state.sums[state.groups.index(name), 0] for name in ("a", "b"))
    free = min(float((log_above(a, np.full(2, m / 0.8)) + log_below(b, np.full(2, m)))[0]) for m in means)
    found = log10_gap(_curves(state, 0.8), of, 0) * np.log(10.0)
    one = float(of.weight[(of.a == state.groups.index("a"))][0])
    assert free + np.log(one) - 0.25 <= found <= free + np.log(one) + 0.01


_PARITY = {"metric": "demographic_parity_difference", "maximum": 0.1, "alpha": 0.01, "min_n": 50}


@pytest.mark.parametrize(("name", "settings"), [("fairness_ratio", {}), ("fairness_gap", _PARITY)])
def test_groups_beyond_the_fiftieth_are_not_judged_and_that_is_said(name: str, settings: dict[str, object]) -> None:
    detector = build(name, by="zip", positive="yes", **settings)
    groups = np.array([f"z{i:02}" for i in range(60)] * 50, dtype=object)
    answers = np.where(np.arange(3000) // 60 % 2 == 0, "yes", "no").astype(object)
    answers[groups == "z59"] = "no"
    pairs = Pairs(predicted=answers, label=answers, groups={"zip": groups})
    _, verdict = detector.step(detector.start(_NONE), Increment(start=_AT, end=_AT, columns={}, pairs=pairs, n=3000))
    assert verdict.outcome is Outcome.OK
    assert "2500 labelled records, 500 more are of groups that came later than the first 50 and are not judged" in verdict.because
