"""Answers that became too high or too low: which side, by how much, what wakes nobody, and when it is over."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.act.message import compose
from daemon.decide.cause import Harm, Shift, diagnose
from daemon.decide.incident import AlarmKind, alarm_kind, fold
from daemon.decide.labelled import Labelled
from daemon.decide.monitors.all import monitors
from daemon.decide.policy import stand
from daemon.settings import ModelSettings
from daemon.store import codec
from detectors.of_reference import filled
from detectors.registry import build
from detectors.sequential.residuals import Reach, residuals
from detectors.types import EDetectorValue, Increment, Outcome, Pairs, Reference, Verdict

ALPHA = 1e-4
START = datetime(2026, 1, 1, tzinfo=UTC)


def off(by: Any, *, weight: Any = None) -> Pairs:
    """Answers so far above what is right."""
    by = np.asarray(by, dtype=np.float64)
    none, value = np.full(len(by), None, dtype=object), np.linspace(10.0, 90.0, len(by))
    return Pairs(predicted=none, label=none, value=value, predicted_value=value + by, weight=weight)


def pane(i: int, pairs: Pairs) -> Increment:
    at = START + timedelta(minutes=i)
    return Increment(start=at, end=at + timedelta(minutes=1), columns={}, pairs=pairs, n=pairs.n)


def known(bound: Pairs) -> Reference:
    return Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="")


def folded(bound: Any, news: Any, *, pane_n: int = 20, detector: Any = None) -> list[Verdict]:
    """A verdict for each pane of so many residuals."""
    detector, found = detector or build("conformal_residual", alpha=ALPHA), []
    state = detector.start(known(off(bound)))
    pairs = news if isinstance(news, Pairs) else off(news)
    for i in range(0, pairs.n, pane_n):
        state, verdict = detector.step(state, pane(i, pairs.take(slice(i, i + pane_n))))
        found.append(verdict)
    return found


def first_alarm(found: list[Verdict]) -> int:
    return next((i for i, v in enumerate(found) if v.outcome is Outcome.ALARM), 10**9)


@pytest.mark.parametrize(("by", "side"), [(1.0, "high"), (-1.0, "low")])
def test_it_says_to_which_side_and_by_how_much_in_the_unit_of_the_answers(by: float, side: str) -> None:
    rng = np.random.default_rng(1)
    found = folded(3.0 * rng.normal(size=400), 3.0 * np.append(rng.normal(size=800), rng.normal(by, 1.0, 400)))
    at = first_alarm(found)
    assert 40 <= at < 45
    assert found[at].because.startswith(f"answers are too {side} by ")
    last = found[-1]
    assert last.low < 3.0 * by < last.high
    assert last.low * last.high > 0.0
    assert last.value == pytest.approx(3.0 * by, abs=0.6)
    assert "(400 bound rows among them)" in last.because


def test_errors_that_became_smaller_wake_nobody_and_larger_ones_are_called_that() -> None:
    rng = np.random.default_rng(2)
    bound, quiet = rng.normal(size=400), rng.normal(size=400)
    better, worse = (folded(bound, np.append(quiet, rng.normal(0.0, scale, 400))) for scale in (0.4, 2.5))
    assert first_alarm(better) == 10**9
    assert isinstance(better[-1].evidence, EDetectorValue)
    assert better[-1].evidence.log10_e > 4.0
    assert better[-1].because.startswith("errors changed (the mean moved by ")
    assert worse[first_alarm(worse)].because.startswith("errors are larger, and not known to be more to one side (the mean moved by ")


def test_a_bias_that_goes_wakes_nobody() -> None:
    """The model was always 2 too high, and is no longer: nothing is wrong, and nothing is too low."""
    rng = np.random.default_rng(11)
    found = folded(rng.normal(2.0, 1.0, 400), np.append(rng.normal(2.0, 1.0, 400), rng.normal(size=400)))
    assert first_alarm(found) == 10**9
    assert isinstance(found[-1].evidence, EDetectorValue)
    assert found[-1].evidence.log10_e > 4.0
    assert found[-1].high < -1.0


def test_a_move_within_the_tolerance_is_held_back() -> None:
    rng = np.random.default_rng(3)
    bound, news = rng.normal(size=1000), np.append(rng.normal(size=200), rng.normal(0.4, 1.0, 1000))
    found = [folded(bound, news, detector=build("conformal_residual", alpha=ALPHA, tolerance=tolerance)) for tolerance in (0.0, 0.9)]
    assert first_alarm(found[0]) < 60
    assert first_alarm(found[1]) == 10**9
    assert [v.evidence for v in found[0]] == [v.evidence for v in found[1]]


def test_answers_that_are_as_wrong_as_ever_but_all_to_one_side_raise_no_loss() -> None:
    """What no alarm read before: half of the answers were 1 too low, half 1 too high; now all are too high."""
    rng = np.random.default_rng(4)
    bound, quiet, now = (rng.choice([-1.0, 1.0], 300) for _ in range(3))
    news = np.append(quiet, np.abs(now))
    assert 15 <= first_alarm(folded(bound, news)) <= 17
    for name in ("risk_value_rise", "risk_value_change"):
        assert first_alarm(folded(bound, news, detector=build(name, alpha=ALPHA))) == 10**9


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_equal_residuals_are_no_alarm_until_another_one_comes(value: float) -> None:
    """A model that is always right, or always off by the same."""
    equal = folded(np.full(200, value), np.full(2000, value))
    assert {v.outcome for v in equal} == {Outcome.OK}
    moved = folded(np.full(200, value), np.append(np.full(200, value), np.full(40, value + 4.0)))
    assert first_alarm(moved) in {10, 11}
    assert moved[-1].because.startswith("answers are too high by 4, between 4 and 4: ")


def test_a_slip_of_the_unit_does_not_move_the_mean_without_end() -> None:
    rng = np.random.default_rng(5)
    bound = rng.normal(size=400)
    reach = Reach.of(bound)
    assert 15.0 < reach.most < 25.0
    verdict = folded(bound, np.append(rng.normal(size=299), 1e30), pane_n=300)[-1]
    assert abs(verdict.value) < 0.3
    assert verdict.outcome is Outcome.OK


def test_numbers_beyond_all_measure_are_numbers_and_what_is_none_says_nothing() -> None:
    none = np.full(4, None, dtype=object)
    wild = Pairs(predicted=none, label=none, value=np.array([-1e308, np.nan, np.inf, 1.0]), predicted_value=np.array([1e308, 1, np.inf, 2]))
    found = residuals(wild)
    assert found[0] == pytest.approx(3.4e38, rel=0.01)
    assert np.isnan(found[1])
    assert found[2:].tolist() == [0.0, 1.0]
    for bound in (np.zeros(50), 1e38 * np.arange(-5.0, 5.0)):
        (verdict,) = folded(bound, wild)
        assert verdict.n == 3
        assert math.isfinite(verdict.high)


def test_a_residual_is_the_difference_in_decimals() -> None:
    none = np.full(6, None, dtype=object)
    right, given = np.array([0.1, 10.1, 1000.1, 1e-9, 5e12, 0.0]), np.array([0.3, 10.3, 1000.3, 3e-9, 5e12 + 40.0, 0.0])
    found = residuals(Pairs(predicted=none, label=none, value=right, predicted_value=given))
    assert found.tolist() == [0.2, 0.2, 0.2, 2e-9, 40.0, 0.0]
    assert len(set((given - right)[:3])) == 3


def test_without_bound_rows_or_labels_it_says_so() -> None:
    rng = np.random.default_rng(6)
    (verdict,) = folded(np.empty(0), rng.normal(size=20))
    assert (verdict.outcome, verdict.n) == (Outcome.INSUFFICIENT, 0)
    assert "reference.bound" in verdict.because
    (verdict,) = folded(rng.normal(size=100), np.full(5, np.nan))
    assert (verdict.outcome, verdict.because) == (Outcome.INSUFFICIENT, "no labelled records yet")


def test_labels_of_a_plan_are_thinned_to_an_even_sample() -> None:
    """Answers that are too low are labelled three times as often as others; `most_weight` makes up for it, and sees a real move."""

    def planned(rng: np.random.Generator, *parts: tuple[int, float]) -> Pairs:
        by = np.concatenate([rng.normal(mean, 1.0, n) for n, mean in parts])
        chance = np.where(by < 0.0, 0.9, 0.3)
        kept = rng.random(len(by)) < chance
        return off(by[kept], weight=1.0 / chance[kept])

    rng = np.random.default_rng(7)
    bound, quiet, moved = rng.normal(size=500), planned(rng, (6000, 0.0)), planned(rng, (3000, 0.0), (2000, 0.8))
    weighted: Any = build("conformal_residual", alpha=ALPHA, most_weight=1 / 0.3)
    calm = folded(bound, quiet, detector=weighted)
    assert first_alarm(calm) == 10**9
    assert calm[-1].low < 0.0 < calm[-1].high
    assert first_alarm(folded(bound, moved, detector=weighted)) < 10**9
    assert first_alarm(folded(bound, quiet.take(slice(None)))) < 10**9  # as if all had one chance


@pytest.mark.parametrize("bad_n", [3, 15, 60])
def test_the_end_of_a_bias_ends_the_alarm_and_the_way_back_is_none(bad_n: int) -> None:
    rng = np.random.default_rng(8)
    parts = [rng.normal(size=200), rng.normal(1.5, 1.0, 20 * bad_n), rng.normal(size=1600)]
    found = folded(rng.normal(size=400), np.concatenate(parts))
    loud, end = [v.outcome is Outcome.ALARM for v in found], 10 + bad_n
    assert 10 <= first_alarm(found) < 13
    assert not any(loud[end + 12 :])
    assert found[-1].low < 0.0 < found[-1].high
    assert found[-1].value == pytest.approx(0.0, abs=0.2)  # what came during it is none of what is compared with


def test_a_mean_is_held_to_the_records_that_the_ranks_are_among() -> None:
    """Bound rows and labels; those of a change stand aside and leave with it."""
    rng, detector = np.random.default_rng(9), build("conformal_residual", alpha=ALPHA)
    state: Any = detector.start(known(off(rng.normal(size=300))))
    for i in range(80):
        state, _ = detector.step(state, pane(i, off(rng.normal(2.0 if 20 <= i < 35 else 0.0, 1.0, 20))))
        (urn,) = state.ranks.hours
        aside = 0 if urn.aside is None else urn.aside.sum()
        assert state.aside[0] == aside
        assert state.past[0] + aside == urn.weights.sum() - urn.gaps.sum() + 300
        if i == 30:
            assert aside > 200
    assert aside == 0
    assert 300 + 55 * 20 < state.past[0] < 300 + 68 * 20


def test_it_goes_on_over_a_restart_as_if_there_was_none() -> None:
    rng, detector = np.random.default_rng(10), build("conformal_residual", alpha=ALPHA)
    reference = known(off(rng.normal(size=300)))
    state: Any = detector.start(reference)
    for i in range(6):
        state, _ = detector.step(state, pane(i, off(rng.normal(1.0, 1.0, 20))))
    read = filled(codec.decode(codec.encode(state), type(state)), detector.start(reference))
    news = pane(7, off(rng.normal(size=20)))
    assert detector.step(read, news)[1] == detector.step(state, news)[1]


def test_it_is_watched_where_numbers_have_bound_rows_and_takes_its_share() -> None:
    def built(task: str, *, has_bound: bool) -> dict[str, Any]:
        model = ModelSettings.model_validate(
            {
                "name": "m",
                "task": task,
                "labels_expected": True,
                "monitors": {"performance": {"tolerance": 0.2, "least_label_probability": 0.5}},
            }
        )
        return {d.name: d for d in monitors(model, has_bound=has_bound)}

    found = built("tabular-regression", has_bound=True)
    mine, risk = found["conformal_residual"], found["risk_value_rise"]
    assert (mine.tolerance, mine.most_weight, mine.alpha) == (0.2, 2.0, risk.alpha)
    assert "conformal_residual" not in built("tabular-regression", has_bound=False)
    assert "conformal_residual" not in built("text-generation", has_bound=True)


def _verdict(name: str, subject: str) -> Verdict:
    evidence = EDetectorValue(log10_e=9.0, alpha=0.01)
    return Verdict(detector=name, subject=subject, outcome=Outcome.ALARM, evidence=evidence, value=1, low=1, high=1, n=9, because="so")


def test_a_bias_tells_people_never_trains_and_makes_no_drift_harmful() -> None:
    bias, drift, risk = _verdict("conformal_residual", "residual"), _verdict("conformal_numeric", "input.x"), _verdict("risk_rise", "risk")
    assert alarm_kind("conformal_residual") is AlarmKind.BIAS
    assert alarm_kind("conformal_numeric") is AlarmKind.DRIFT
    incident, _ = fold(None, [bias, drift], model="m", epoch=1, now=1.0, quiet_s=60.0)
    assert incident is not None
    assert not incident.harmful
    assert stand({}, [bias, drift], incident) == {}
    assert stand({}, [bias, risk], incident) == {"performance": 1}
    said = {"model": "m", "what": "incident.opened", "because": "b", "kinds": ["bias"], "incident": incident.id}
    assert "RetunedCalibrationOff" in str(compose("m", said, "https://ops.example.org"))


def test_a_bias_with_quiet_inputs_is_a_shift_of_what_is_right_and_with_moved_ones_not_told_apart() -> None:
    bias = {"b": {"subject": "residual", "kind": "bias"}}
    drift = {"d": {"subject": "input.x", "kind": "drift"}}
    alone = diagnose(bias, Labelled(n=0, limit=0.2), quiet_n=3)
    assert (alone.harm, alone.shift) == (Harm.UNKNOWN, Shift.CONCEPT)
    assert diagnose(bias, Labelled(n=0, limit=0.2)).shift is Shift.UNKNOWN
    both = diagnose(bias | drift, Labelled(n=400, errors_n=4, limit=0.2), quiet_n=3)
    assert (both.harm, both.shift) == (Harm.UNKNOWN, Shift.UNKNOWN)
    assert "but bias alarms too" in both.because
    assert "not told apart" in both.because
