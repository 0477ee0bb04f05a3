"""Losses by the hours of a rhythm: nights of harder cases are no rise, a rise is one beside its own hours; what few bound rows change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from daemon.store import codec
from daemon.store.pairing import Pairing
from daemon.store.reference import load_bound
from daemon.watched.traffic import loss_hours_in_words
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.loss_cells import cell_values
from detectors.sequential.rise_state import told_apart
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

START = datetime(2026, 11, 23, tzinfo=UTC)
DAY_S, PER_HOUR = 86_400.0, 40
Rng = np.random.Generator
Floats = np.ndarray[Any, Any]
NAMES = ("risk_rise", "risk_value_rise", "risk_judged_rise")


def hours_of(ats: Floats) -> Floats:
    return ats // 3600.0 % 24


def drawn(name: str, rng: Rng, ats: Floats, rise: float = 0.0, night: float = 0.14) -> Pairs:
    """Wrong in .06 of cases by day, `night` until eight, and `rise` more; numbers are off, judgements bad accordingly."""
    share, n = np.where(hours_of(ats) < 8, night, 0.06) + rise, len(ats)
    none = np.full(n, None, dtype=object)
    if name == "risk_value_rise":
        return Pairs(predicted=none, label=none, value=np.zeros(n), predicted_value=10.0 * share * rng.normal(size=n), at=ats)
    bad = rng.random(n) < share
    if name == "risk_judged_rise":
        return Pairs(predicted=none, label=none, quality=np.where(bad, rng.beta(2.0, 6.0, n), rng.beta(9.0, 2.0, n)), at=ats)
    return Pairs(predicted=np.where(bad, "b", "a").astype(object), label=np.full(n, "a", dtype=object), at=ats)


def reference(name: str, rng: Rng, n: int = 2000, **how: Any) -> Reference:
    """Bound rows of the week before."""
    ats = np.sort(START.timestamp() - 7.0 * DAY_S * rng.random(n))
    return Reference(columns={}, kinds={}, sketches={}, bound=drawn(name, rng, ats, **how), digest="d")


def pane(pairs: Pairs, hour: int) -> Increment:
    start = START + timedelta(hours=hour)
    return Increment(start=start, end=start + timedelta(hours=1), columns={}, pairs=pairs, n=pairs.n)


def times(rng: Rng, hour: int, n: int = PER_HOUR) -> Floats:
    return np.asarray(START.timestamp() + 3600.0 * (hour + np.sort(rng.random(n))))


def folded(
    name: str, hours_n: int, rhythm: Rhythm, *, seed: int = 0, bound_n: int = 2000, risen: tuple[int, float] = (10**6, 0.0), **how: Any
) -> tuple[Any, list[Verdict]]:
    """(state, a verdict an hour); `risen`: (from this hour on, by so much)."""
    rng, detector = np.random.default_rng(seed), build(name, alpha=1e-5, rhythm=rhythm)
    state, found = detector.start(reference(name, rng, bound_n, **how)), []
    for hour in range(hours_n):
        rise = risen[1] if hour >= risen[0] else 0.0
        state, verdict = detector.step(state, pane(drawn(name, rng, times(rng, hour), rise, **how), hour))
        found.append(verdict)
    return state, found


def alarms(found: list[Verdict]) -> list[int]:
    return [i for i, v in enumerate(found) if v.outcome is Outcome.ALARM]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bound_n", [0, 300, 2000])
def test_nights_of_harder_cases_are_an_alarm_without_the_rhythm_and_none_with_it(name: str, bound_n: int) -> None:
    without = alarms(folded(name, 96, Rhythm.NONE, bound_n=bound_n, night=0.35)[1])
    assert len({hour // 24 for hour in without}) >= 2, "nights are no trouble, so there is nothing to show"
    for seed in range(3):
        assert alarms(folded(name, 96, Rhythm.HOUR_OF_DAY, seed=seed, bound_n=bound_n, night=0.35)[1]) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_rise_is_seen_beside_the_losses_of_its_own_hours_and_says_so(name: str) -> None:
    for start in (48, 60):  # at night, by day
        _, found = folded(name, start + 12, Rhythm.HOUR_OF_DAY, risen=(start, 0.2))
        seen = alarms(found)
        assert seen
        assert start <= seen[0] <= start + 8
        assert " at the same hour of the day on the " in found[seen[0]].because
        assert "(2000 bound rows among them)" in found[seen[0]].because


def test_what_it_is_held_to_is_of_the_hours_that_the_latest_records_are_of() -> None:
    _, found = folded("risk_rise", 24 * 5, Rhythm.HOUR_OF_DAY, night=0.30)
    before = [float(v.because.partition(" labelled records, ")[2].partition(" ")[0]) for v in found]
    latest = before[24 * 4 :]
    assert latest[21:] == pytest.approx([0.06] * 3, abs=0.02)  # a quiet figure is of up to 552 records, 14 hours
    assert max(latest) > 0.18


def test_a_label_is_of_the_hour_of_its_record_however_late_it_comes() -> None:
    """Twelve hours late the nights' labels come by day."""
    outcomes = {}
    for is_timed in (True, False):
        rng, detector = np.random.default_rng(1), build("risk_rise", alpha=1e-5, rhythm=Rhythm.HOUR_OF_DAY)
        state, found = detector.start(reference("risk_rise", rng, night=0.3)), []
        for hour in range(12, 96):
            pairs = drawn("risk_rise", rng, times(rng, hour - 12), night=0.3)
            late = pairs if is_timed else Pairs(predicted=pairs.predicted, label=pairs.label)
            state, verdict = detector.step(state, pane(late, hour))
            found.append(verdict)
        outcomes[is_timed] = bool(alarms(found))
    assert outcomes == {True: False, False: True}


@pytest.mark.parametrize("name", NAMES)
def test_bound_rows_without_a_time_are_compared_at_all_hours_alike_to_the_bit(name: str) -> None:
    found = []
    for rhythm in (Rhythm.NONE, Rhythm.HOUR_OF_DAY):
        rng, detector = np.random.default_rng(2), build(name, alpha=1e-5, rhythm=rhythm)
        known = reference(name, rng)
        rows = {f: getattr(known.bound, f) for f in ("predicted", "label", "value", "predicted_value", "quality")}
        state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=Pairs(**rows), digest="d"))
        verdicts = []
        for hour in range(40):
            state, verdict = detector.step(state, pane(drawn(name, rng, times(rng, hour)), hour))
            verdicts.append(verdict)
        found.append(verdicts)
    assert found[0] == found[1]


def test_bound_rows_of_which_some_lack_a_time_are_those_that_have_one() -> None:
    rng = np.random.default_rng(3)
    known = reference("risk_rise", rng, 500)
    assert known.bound.at is not None
    known.bound.at[:100] = np.nan
    state: Any = build("risk_rise", alpha=1e-5, rhythm=Rhythm.HOUR_OF_DAY).start(known)
    assert (state.bound_n, len(state.hours), state.before.sum()) == (400, 24, 400)


@pytest.mark.parametrize(
    ("rhythm", "n", "timed_n", "apart"),
    [
        (Rhythm.NONE, 500, 500, Rhythm.NONE),
        (Rhythm.HOUR_OF_DAY, 500, 0, Rhythm.NONE),
        (Rhythm.HOUR_OF_DAY, 500, 1, Rhythm.HOUR_OF_DAY),
        (Rhythm.HOUR_OF_DAY, 0, 0, Rhythm.HOUR_OF_DAY),
        (Rhythm.HOUR_OF_WEEK, 3359, 3359, Rhythm.HOUR_OF_DAY),
        (Rhythm.HOUR_OF_WEEK, 3360, 3360, Rhythm.HOUR_OF_WEEK),
        (Rhythm.HOUR_OF_WEEK, 0, 0, Rhythm.HOUR_OF_DAY),
        (Rhythm.QUARTER_HOUR_OF_DAY, 1920, 1920, Rhythm.QUARTER_HOUR_OF_DAY),
    ],
)
def test_hours_are_told_apart_as_finely_as_bound_rows_are_enough_for(rhythm: Rhythm, n: int, timed_n: int, apart: Rhythm) -> None:
    assert told_apart(rhythm, n, timed_n) is apart
    ats = np.where(np.arange(n) < timed_n, START.timestamp() + 60.0 * np.arange(n), np.nan)
    bound = drawn("risk_rise", np.random.default_rng(4), np.nan_to_num(ats))
    bound = Pairs(predicted=bound.predicted, label=bound.label, at=ats)
    state: Any = build("risk_rise", alpha=1e-5, rhythm=rhythm).start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="d"))
    assert len(state.hours) == apart.hours_n
    assert state.told_apart(rhythm) is apart


def test_the_end_of_a_rise_is_told_by_hours_and_survives_a_restart() -> None:
    rng, detector = np.random.default_rng(5), build("risk_value_rise", alpha=1e-5, rhythm=Rhythm.HOUR_OF_DAY)
    state: Any = detector.start(reference("risk_value_rise", rng))
    found = []
    for hour in range(24 * 6):
        pairs = drawn("risk_value_rise", rng, times(rng, hour), 0.2 if 24 <= hour < 60 else 0.0)
        state, verdict = detector.step(codec.decode(codec.encode(state), type(state)), pane(pairs, hour))
        found.append(verdict)
    seen = alarms(found)
    assert 24 <= seen[0] <= 30
    assert max(seen) <= 60 + 10
    assert state.log_back is None
    came = state.before.sum() - 2000
    assert 24 * 4 * PER_HOUR < came <= (24 * 6 - 36) * PER_HOUR


def test_the_state_holds_cells_that_losses_fell_into_and_is_small() -> None:
    state, _ = folded("risk_value_rise", 48, Rhythm.HOUR_OF_DAY)
    everything = len(cell_values(build("risk_value_rise", alpha=0.01).loss))  # type: ignore[attr-defined]
    assert len(state.cells) < everything / 3
    assert all(len(urn.weights) == len(state.cells) for urn in state.hours)
    assert len(codec.encode(state)) < 40_000
    assert state.before.shape == (everything,)
    assert state.before.sum() == 2000 + 48 * PER_HOUR


@pytest.mark.parametrize("task", ["text-classification", "tabular-regression", "text-generation"])
def test_the_service_gives_pairs_and_bound_rows_their_times_and_the_monitor_its_rhythm(tmp_path: Path, task: str) -> None:
    labels = ["a", "b"] if task == "text-classification" else []
    given = {"name": "m", "task": task, "labels": labels, "reference": {"rhythm": "hour_of_day"}, "monitors": {"performance": {}}}
    model = ModelSettings.model_validate(given)
    file = tmp_path / "bound.jsonl"
    output = {"text-classification": {"label": "a"}, "tabular-regression": {"value": 1.0}, "text-generation": {"text": "yes"}}[task]
    truth = {"text-classification": {"label": "a"}, "tabular-regression": {"label": 2.0}, "text-generation": {"judgement": 0.5}}[task]
    rows = [{"at": f"2026-11-23T0{i}:00:00+00:00", "inputs": {}, "output": output, **truth} for i in range(3)]
    file.write_text("\n".join(map(json.dumps, [*rows, {k: v for k, v in rows[0].items() if k != "at"}])))
    at = load_bound(model, file).pairs.at
    assert at is not None
    assert (at[:3] - START.timestamp()).tolist() == [0.0, 3600.0, 7200.0]
    assert np.isnan(at[3])
    made = Pairing(model).made([], [], {}, at=np.array([1.0]))
    assert made.at is not None
    rises = [d for d in monitors(model, has_bound=True) if d.name.endswith("_rise") and d.name.startswith("risk")]
    assert [d.rhythm for d in rises] == [Rhythm.HOUR_OF_DAY]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rhythm", "timed_n", "said"),
    [
        ("none", 0, []),
        ("hour_of_day", 100, []),
        ("hour_of_day", 0, ["have no time (`at`): all hours are held to one limit, so that those of harder cases are a rise."]),
        ("hour_of_day", 90, ["10 of 100 bound rows have no time (`at`): a rise of the loss is not looked for beside them."]),
        (
            "hour_of_week",
            100,
            ["compared within the hour of the day: by the hour of the week it takes 3,360 bound rows with a time, and there are 100."],
        ),
    ],
)
def test_check_says_within_what_a_rise_is_looked_for(tmp_path: Path, rhythm: str, timed_n: int, said: list[str]) -> None:
    file = tmp_path / "bound.jsonl"
    rows = [{"inputs": {}, "output": {"label": "a"}, "label": "a", **({"at": 3600.0 * i} if i < timed_n else {})} for i in range(100)]
    file.write_text("\n".join(map(json.dumps, rows)))
    given = {"name": "m", "task": "text-classification", "labels": ["a", "b"], "reference": {"rhythm": rhythm, "bound": file}}
    found = loss_hours_in_words(ModelSettings.model_validate(given))
    assert len(found) == len(said)
    assert all(one.endswith(end) for one, end in zip(found, said, strict=True))


@pytest.mark.parametrize("bound_n", [300, 2000])
def test_residuals_too_are_compared_within_their_hours(bound_n: int) -> None:
    """Nights of larger errors are no alarm; answers that became too high are one, at night and by day."""
    rises: dict[tuple[Rhythm, int], list[int]] = {}
    for rhythm, start in ((Rhythm.NONE, 96), (Rhythm.HOUR_OF_DAY, 48), (Rhythm.HOUR_OF_DAY, 60)):
        rng, detector = np.random.default_rng(7), build("conformal_residual", alpha=1e-5, rhythm=rhythm)
        state, found = detector.start(reference("risk_value_rise", rng, bound_n, night=0.25)), []
        for hour in range(start + 12):
            pairs = drawn("risk_value_rise", rng, times(rng, hour), night=0.25)
            assert pairs.predicted_value is not None
            pairs.predicted_value[:] += 1.5 * (hour >= start)
            state, verdict = detector.step(state, pane(pairs, hour))
            found.append(verdict)
        rises[rhythm, start] = alarms(found)
    assert len({hour // 24 for hour in rises[Rhythm.NONE, 96] if hour < 96}) >= 2, "nights are no trouble, so there is nothing to show"
    for start in (48, 60):
        assert start <= min(rises[Rhythm.HOUR_OF_DAY, start]) <= start + 8


def test_residuals_of_bound_rows_without_a_time_are_compared_at_all_hours_alike_and_untimed_labels_count_as_the_panes() -> None:
    found = []
    for rhythm in (Rhythm.NONE, Rhythm.HOUR_OF_DAY):
        rng, detector = np.random.default_rng(8), build("conformal_residual", alpha=1e-5, rhythm=rhythm)
        known = reference("risk_value_rise", rng)
        state = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=untimed(known.bound), digest="d"))
        verdicts = []
        for hour in range(40):
            state, verdict = detector.step(state, pane(drawn("risk_value_rise", rng, times(rng, hour)), hour))
            verdicts.append(verdict)
        found.append(verdicts)
    assert found[0] == found[1]
    rng, detector = np.random.default_rng(9), build("conformal_residual", alpha=1e-5, rhythm=Rhythm.HOUR_OF_DAY)
    state = detector.start(reference("risk_value_rise", rng))
    _, verdict = detector.step(state, pane(untimed(drawn("risk_value_rise", rng, times(rng, 5))), 5))
    assert verdict.n == PER_HOUR


def untimed(pairs: Pairs) -> Pairs:
    return Pairs(predicted=pairs.predicted, label=pairs.label, value=pairs.value, predicted_value=pairs.predicted_value)
