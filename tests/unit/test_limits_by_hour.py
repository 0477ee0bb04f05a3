"""Limits by the hours of a rhythm: nights of harder cases are no harm, more than at the same hours before is; fixed ones know no hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from daemon.store import codec
from daemon.watched.seen.day import Day
from daemon.watched.soon import soon_seen
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.calibration_change import CalibrationState
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict
from tests.statistical.conftest import objects

Rng = np.random.Generator
Floats = np.ndarray[Any, Any]
START = datetime(2026, 11, 23, tzinfo=UTC)
LABELS = ("no", "yes")
PER_HOUR = 120
DAY, NIGHT = 0.05, 0.35
ALPHA = 1e-5
SETTINGS: dict[str, dict[str, Any]] = {
    "risk": {"tolerance": 0.05, "alpha": 0.02},
    "risk_value": {"tolerance": 0.05, "alpha": 0.02},
    "risk_judged": {"tolerance": 0.05, "alpha": 0.02},
    "risk_change": {"tolerance": 0.05},
    "risk_value_change": {"tolerance": 0.05},
    "risk_judged_change": {"tolerance": 0.05},
    "accuracy_floor": {"max_drop": 0.05},
    "f1_floor": {"label": "yes", "max_drop": 0.05},
    "precision_floor": {"label": "yes", "max_drop": 0.05},
    "recall_floor": {"label": "yes", "max_drop": 0.05},
    "score_floor": {"max_drop": 0.05},
    "value_ceiling": {"metric": "mae", "max_rise": 0.1},
    "probability_ceiling": {"labels": LABELS, "metric": "brier", "max_rise": 0.1},
    "ppi_floor": {"labels": LABELS, "max_drop": 0.05},
    "ppi_score_floor": {"judge": "input.judge", "max_drop": 0.05},
    "calibration_change": {"labels": LABELS},
}
EVER = ("risk", "risk_value", "risk_judged")
FIXED = {"accuracy_floor": {"minimum": 0.7}, "score_floor": {"minimum": 0.7}, "value_ceiling": {"metric": "mae", "maximum": 1.5}}


def drawn(name: str, rng: Rng, ats: Floats, more: float = 0.0) -> Pairs:
    """Wrong in .05 of cases by day, .35 until eight, and `more`; numbers are off, judgements bad accordingly."""
    share, n, none = np.where(ats % 86_400 < 8 * 3600, NIGHT, DAY) + more, len(ats), np.full(len(ats), None, dtype=object)
    if "value" in name:
        off = (1.0 + 3.0 * share) * np.abs(rng.normal(size=n))
        return Pairs(predicted=none, label=none, predicted_value=off, value=np.zeros(n), at=ats)
    if "judged" in name or "score" in name:
        bad = rng.random(n) < share
        judge = {"input.judge": bad + rng.normal(size=n)}
        return Pairs(predicted=none, label=none, quality=np.where(bad, 0.1, 0.9), at=ats, columns=judge)
    truth = rng.integers(0, 2, n)
    given = np.where(rng.random(n) < share, 1 - truth, truth)
    sure = rng.uniform(0.8, 0.95, n)
    scores = np.where(np.arange(2) == given[:, None], sure[:, None], 1.0 - sure[:, None])
    names = objects(LABELS)
    return Pairs(predicted=names[given], label=names[truth], scores=scores, at=ats)


def reference(name: str, rng: Rng, n: int = 1500) -> Reference:
    """Bound rows of the fortnight before."""
    bound = drawn(name, rng, START.timestamp() - 14 * 86_400.0 * np.sort(rng.random(n))[::-1])
    return Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="d")


def pane(name: str, rng: Rng, hour: int, more: float = 0.0) -> Increment:
    start = START + timedelta(hours=hour)
    pairs = drawn(name, rng, start.timestamp() + 3600.0 * np.sort(rng.random(PER_HOUR)), more)
    columns = dict(pairs.columns)
    if pairs.scores is not None:
        columns = {"output.scores": pairs.scores, "output.label": pairs.predicted}
    return Increment(start=start, end=start + timedelta(hours=1), columns=columns, pairs=pairs, n=PER_HOUR)


def detector(name: str, rhythm: Rhythm, **settings: Any) -> Any:
    return build(name, **{"alpha": ALPHA, **(settings or SETTINGS[name]), "rhythm": rhythm})


def folded(name: str, rhythm: Rhythm, *, seed: int = 1, hours_n: int = 96, harm: tuple[int, float] = (10**6, 0.0)) -> list[Verdict]:
    rng, one, found = np.random.default_rng(seed), detector(name, rhythm), []
    state = one.start(reference(name, rng))
    for hour in range(hours_n):
        state, verdict = one.step(state, pane(name, rng, hour, harm[1] if hour >= harm[0] else 0.0))
        found.append(verdict)
    return found


def alarms(found: list[Verdict]) -> list[int]:
    return [hour for hour, v in enumerate(found) if v.outcome is Outcome.ALARM]


@pytest.mark.parametrize("name", SETTINGS)
def test_nights_of_harder_cases_are_an_alarm_without_a_rhythm_and_none_with_it(name: str) -> None:
    assert any(alarms(folded(name, Rhythm.NONE, seed=seed)) for seed in range(8)), "nights are no trouble, so there is nothing to mend"
    for seed in range(4):
        assert alarms(folded(name, Rhythm.HOUR_OF_DAY, seed=seed)) == []


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in EVER])
@pytest.mark.parametrize("start", [48, 60])
def test_more_than_at_the_same_hours_before_is_seen_at_night_and_by_day_and_says_what_it_is_held_to(name: str, start: int) -> None:
    found = folded(name, Rhythm.HOUR_OF_DAY, hours_n=start + 12, harm=(start, 0.3))
    seen = alarms(found)
    assert seen
    assert start <= seen[0] <= start + 10
    if name != "calibration_change":
        assert "in the mean of their hours" in found[seen[0]].because


@pytest.mark.parametrize("name", EVER)
def test_an_e_process_by_hours_sees_harm_that_is_there_from_the_start_of_its_epoch(name: str) -> None:
    found = folded(name, Rhythm.HOUR_OF_DAY, hours_n=24, harm=(0, 0.35))
    assert alarms(found)
    assert found[-1].limit is not None
    assert found[-1].value > found[-1].limit


def test_what_it_is_held_to_is_of_the_hours_that_the_latest_records_are_of() -> None:
    limits = [v.limit or 0.0 for v in folded("risk_change", Rhythm.HOUR_OF_DAY)]
    assert NIGHT < limits[72 + 7] < 0.55  # of 256 to 512 labels: the last hours of the night
    assert DAY < limits[72 + 20] < 0.2


@pytest.mark.parametrize("name", SETTINGS)
def test_bound_rows_without_a_time_give_one_limit_at_all_hours_to_the_bit(name: str) -> None:
    found = []
    for rhythm in (Rhythm.NONE, Rhythm.HOUR_OF_DAY):
        rng, one = np.random.default_rng(2), detector(name, rhythm)
        known = reference(name, rng, 500)
        state, verdicts = one.start(replace(known, bound=replace(known.bound, at=None))), []
        for hour in range(30):
            state, verdict = one.step(state, pane(name, rng, hour))
            verdicts.append(verdict)
        found.append(verdicts)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_limit_is_the_same_at_all_hours(name: str) -> None:
    found = []
    for rhythm in (Rhythm.NONE, Rhythm.HOUR_OF_DAY):
        rng, one = np.random.default_rng(3), detector(name, rhythm, **FIXED[name])
        state, verdicts = one.start(reference(name, rng)), []
        for hour in range(30):
            state, verdict = one.step(state, pane(name, rng, hour))
            verdicts.append(verdict)
        found.append(verdicts)
    assert found[0] == found[1]


def test_a_label_is_of_the_hour_of_its_record_however_late_it_comes() -> None:
    """Twelve hours late the nights' labels come by day; those that carry no time are of the pane's."""
    outcomes = {}
    for is_timed in (True, False):
        rng, one, seen = np.random.default_rng(4), detector("risk_change", Rhythm.HOUR_OF_DAY), False
        state = one.start(reference("risk_change", rng))
        for hour in range(12, 96):
            pairs = pane("risk_change", rng, hour - 12).pairs
            data = replace(pane("risk_change", rng, hour), pairs=pairs if is_timed else replace(pairs, at=None))
            state, verdict = one.step(state, data)
            seen = seen or verdict.outcome is Outcome.ALARM
        outcomes[is_timed] = seen
    assert outcomes == {True: False, False: True}


@pytest.mark.parametrize("name", ["risk_change", "calibration_change"])
def test_limits_survive_a_restart_and_take_little_room(name: str) -> None:
    rng, one = np.random.default_rng(5), detector(name, Rhythm.HOUR_OF_DAY)
    known = reference(name, rng)
    fresh = one.start(known)
    apart, whole = fresh, fresh
    for hour in range(30):
        data = pane(name, rng, hour)
        apart, one_verdict = one.step(filled(codec.decode(codec.encode(apart), type(apart)), fresh), data)
        whole, other = one.step(whole, data)
        assert one_verdict == other
    without = build(name, **{"alpha": ALPHA, **SETTINGS[name]}).start(known)
    assert len(codec.encode(fresh)) < len(codec.encode(without)) + 700
    assert isinstance(fresh, CalibrationState) or fresh.hours is not None


def test_an_hour_that_no_bound_row_is_of_is_held_to_what_its_neighbours_are_and_without_these_to_what_the_harder_hours_are() -> None:
    rng, one = np.random.default_rng(6), detector("risk_change", Rhythm.HOUR_OF_DAY)
    bound = reference("risk_change", rng).bound
    assert bound.at is not None
    kept = bound.take(~np.isin(np.floor(bound.at / 3600.0) % 24, [11, 15, 16, 17]))
    state: Any = one.start(Reference(columns={}, kinds={}, sketches={}, bound=kept, digest="d"))
    assert state.hours.most[11] == pytest.approx(np.median(state.hours.most[18:]), abs=0.03)
    assert state.hours.most[16] == pytest.approx(np.median(state.hours.most[:8]), abs=0.03)
    assert state.hours.parts[[11, 15, 16, 17]].sum() == 0.0


def test_hours_whose_bound_leaves_no_room_are_not_watched_which_is_said() -> None:
    rng, one = np.random.default_rng(7), detector("risk_change", Rhythm.HOUR_OF_DAY)
    known = reference("risk_change", rng)
    assert known.bound.at is not None
    is_night = known.bound.at % 86_400 < 8 * 3600
    label = np.where(is_night & (known.bound.predicted == "yes"), "no", np.where(is_night, "yes", known.bound.label)).astype(object)
    state = one.start(replace(known, bound=replace(known.bound, label=label)))
    data = [pane("risk_change", rng, hour) for hour in range(24)]
    for one_pane in data:
        state, verdict = one.step(state, one_pane)
    assert "; 8 of 24 hours have no limit and are not watched" in verdict.because
    assert state.n == 16 * PER_HOUR


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        ("text-classification", {"max_drop": 0.05}),
        ("tabular-regression", {"max_rise": 0.1}),
        ("text-generation", {"max_drop": 0.05}),
    ],
)
def test_the_service_gives_the_models_rhythm_to_all_that_compares_losses_with_bound_rows(task: str, wanted: dict[str, float]) -> None:
    labels = ["no", "yes"] if task == "text-classification" else []
    given = {"name": "m", "task": task, "labels": labels, "reference": {"rhythm": "hour_of_day"}, "monitors": {"performance": wanted}}
    found = [d for d in monitors(ModelSettings.model_validate(given), has_bound=True) if hasattr(d, "rhythm")]
    compared = [d for d in found if d.name.startswith("risk") or d.name.endswith(("floor", "ceiling")) or d.name == "calibration_change"]
    assert len(compared) >= 4
    assert {getattr(d, "rhythm", None) for d in compared} == {Rhythm.HOUR_OF_DAY}


@pytest.mark.parametrize("name", ["risk_change", "value_ceiling", "accuracy_floor", "calibration_change"])
def test_check_says_the_smallest_change_beside_the_hours(name: str) -> None:
    rng, day = np.random.default_rng(8), Day(records_n=4000, labels_n=PER_HOUR * 24, panes_n=24)
    known = reference(name, rng)
    (found,) = soon_seen([detector(name, Rhythm.HOUR_OF_DAY)], known, day)
    assert found.smallest is not None
    if name != "calibration_change":
        assert "in the mean of the hours" in found.says
