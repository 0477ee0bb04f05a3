"""What explains an incident by the hours of a rhythm: other inputs and harder cases by night are no move, what moves beside its hour is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from daemon.decide.monitors.causes import causes
from daemon.settings import ModelSettings
from daemon.store import codec
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.hour_ranks import hour_ranks, mix_weights
from detectors.sequential.urn import urn_ranks
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.statistical.conftest import objects

Rng = np.random.Generator
Floats = np.ndarray[Any, Any]
START = datetime(2026, 11, 23, tzinfo=UTC)
LABELS = ("no", "yes")
COLUMNS = ("input.age", "input.channel")
PER_HOUR = 60
ALPHA = 1e-4
SETTINGS: dict[str, dict[str, Any]] = {
    "conformal_inputs": {"labels": LABELS, "columns": COLUMNS},
    "conformal_given_inputs": {"labels": LABELS, "columns": COLUMNS},
    "conformal_given_classes": {"labels": LABELS},
    "conformal_inputs_value": {"columns": COLUMNS},
    "conformal_inputs_judged": {"columns": COLUMNS},
}
SEASONAL = [name for name in SETTINGS if name != "conformal_given_inputs"]


def drawn(name: str, rng: Rng, ats: Floats, *, moved: float = 0.0, turned: float = 0.0) -> Pairs:
    """By night ages are higher by 1.5, other channels come, and more answers are wrong; `moved`: all ages by so much, `turned`: labels."""
    night, n, none = ats % 86_400 < 8 * 3600, len(ats), np.full(len(ats), None, dtype=object)
    age, channel = rng.normal(size=n) + 1.5 * night + moved, objects(np.where(rng.random(n) < 0.2 + 0.5 * night, "web", "shop"))
    columns, wrong = {"input.age": age, "input.channel": channel}, rng.random(n) < 0.05 + 0.15 * night + 0.2 * (age > 1.5)
    if name.endswith("value"):
        return Pairs(
            predicted=none, label=none, predicted_value=age, value=age + (1.0 + 2.0 * wrong) * rng.normal(size=n), at=ats, columns=columns
        )
    if name.endswith("judged"):
        return Pairs(predicted=none, label=none, quality=np.where(wrong, 0.2, 0.9), at=ats, columns=columns)
    truth = rng.integers(0, 2, n)
    given = np.where(wrong, 1 - truth, truth)
    truth = np.where(rng.random(n) < turned, 1 - truth, truth)
    sure = rng.uniform(0.7, 0.95, n)
    scores = np.where(np.arange(2) == given[:, None], sure[:, None], 1.0 - sure[:, None])
    names = objects(LABELS)
    return Pairs(predicted=names[given], label=names[truth], scores=scores, at=ats, columns=columns)


def reference(name: str, rng: Rng, n: int = 1500) -> Reference:
    bound = drawn(name, rng, START.timestamp() - 14 * 86_400.0 * np.sort(rng.random(n))[::-1])
    return Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="d")


def run(name: str, rhythm: Rhythm, *, seed: int, hours: range, since: int = 10**6, is_timed: bool = True, **change: float) -> list[Any]:
    """(hour, verdict) of each hour; the state is written and read on the way."""
    rng, one, found = np.random.default_rng(seed), build(name, alpha=ALPHA, rhythm=rhythm, **SETTINGS[name]), []
    known = reference(name, rng)
    state: Any = one.start(known if is_timed else replace(known, bound=replace(known.bound, at=None)))
    for hour in hours:
        start = START + timedelta(hours=hour)
        pairs = drawn(name, rng, start.timestamp() + 3600.0 * np.sort(rng.random(PER_HOUR)), **(change if hour >= since else {}))
        data = Increment(start=start, end=start + timedelta(hours=1), columns={}, pairs=pairs, n=PER_HOUR)
        state, verdict = one.step(codec.decode(codec.encode(state), type(state)), data)
        found.append((hour, verdict))
    return found


def alarms(found: list[Any]) -> list[int]:
    return [hour for hour, verdict in found if verdict.outcome is Outcome.ALARM]


@pytest.mark.parametrize("name", SEASONAL)
def test_other_inputs_by_night_are_a_move_without_a_rhythm_and_none_with_it(name: str) -> None:
    assert alarms(run(name, Rhythm.NONE, seed=1, hours=range(48))), "nights are no trouble, so there is nothing to mend"
    said = [alarms(run(name, Rhythm.HOUR_OF_DAY, seed=seed, hours=range(96))) for seed in range(4)]
    assert sum(map(bool, said)) <= 1, "4 x 96 panes at 1e-4: two streams with a false word come in 1 of 1,000 runs"


@pytest.mark.parametrize("name", ["conformal_inputs", "conformal_inputs_value", "conformal_inputs_judged"])
@pytest.mark.parametrize("since", [48, 60])
def test_inputs_that_move_beside_their_own_hours_are_told_at_night_and_by_day(name: str, since: int) -> None:
    seen = alarms(run(name, Rhythm.HOUR_OF_DAY, seed=2, hours=range(since + 12), since=since, moved=1.5))
    assert seen
    assert since <= seen[0] <= since + 6


def test_weights_that_know_hours_explain_inputs_that_moved_and_no_concept_is_said() -> None:
    found = run("conformal_given_inputs", Rhythm.HOUR_OF_DAY, seed=3, hours=range(144), since=48, moved=1.0)
    assert alarms(found) == []
    assert any("which moved as well, has changed" in verdict.because for _, verdict in found)
    inputs = run("conformal_inputs", Rhythm.HOUR_OF_DAY, seed=3, hours=range(144), since=48, moved=1.0)
    assert sum("weights explain the inputs" in verdict.because and verdict.outcome is Outcome.OK for _, verdict in inputs) > 48


@pytest.mark.parametrize("name", ["conformal_given_inputs", "conformal_given_classes"])
@pytest.mark.parametrize("since", [48, 60])
def test_what_is_right_for_inputs_that_changed_is_told_by_hours_at_night_and_by_day(name: str, since: int) -> None:
    seen = alarms(run(name, Rhythm.HOUR_OF_DAY, seed=4, hours=range(since + 24), since=since, turned=0.35))
    assert seen
    assert since <= seen[0] <= since + 12


@pytest.mark.parametrize("name", SETTINGS)
def test_bound_rows_without_a_time_are_compared_at_all_hours_alike_to_the_bit(name: str) -> None:
    found = [run(name, rhythm, seed=5, hours=range(20), is_timed=False) for rhythm in (Rhythm.NONE, Rhythm.HOUR_OF_DAY)]
    assert found[0] == found[1]


def test_ranks_within_hours_are_uniform_and_know_nothing_of_those_before_whatever_the_hours_are_like() -> None:
    """Hours of 30 rows, of 3 and of none, each elsewhere, heavy ties."""
    rng, rows = np.random.default_rng(6), []
    for _ in range(400):
        hours = np.repeat([0, 1], [30, 3])
        ranks = hour_ranks(5.0 * hours + rng.integers(0, 4, len(hours)), hours, 3, rng.normal(5.0, 5.0, 200))
        counts, found = ranks.counts.copy(), []
        for hour in (0, 1, 2, 0, 1, 2, 2):
            cell = np.searchsorted(ranks.edges, 5.0 * hour + rng.integers(0, 4, 1))
            urn = np.bincount(ranks.rows[ranks.hours == hour], minlength=counts.shape[1]) + counts[hour]
            exact, _ = urn_ranks(urn, cell, rng.random(1), own=1.0)
            counts[hour] += np.bincount(cell, minlength=counts.shape[1])
            found.append(exact[0])
        rows.append(found)
    seen = np.array(rows)
    for at in range(seen.shape[1]):
        assert stats.kstest(seen[:, at], "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(seen.T)[np.triu_indices(seen.shape[1], 1)]).max() < 5.0 / np.sqrt(400)


def test_rows_weigh_as_often_as_their_hours_come() -> None:
    hours, wanted = np.array([0, 0, 1, 1, 1, 1, 2, -1]), np.array([0, 0, 0, 1])
    assert mix_weights(hours, wanted) == pytest.approx([1.5, 1.5, 0.25, 0.25, 0.25, 0.25, 0.0, 0.0])
    assert mix_weights(hours, np.array([5, 5])).tolist() == [1.0] * 8


@pytest.mark.parametrize("task", ["text-classification", "tabular-regression", "text-generation"])
def test_the_service_gives_what_explains_the_models_rhythm(task: str) -> None:
    labels = list(LABELS) if task == "text-classification" else []
    given = {
        "name": "m",
        "task": task,
        "labels": labels,
        "reference": {"rhythm": "hour_of_day"},
        "monitors": {"performance": {"estimate": False}},
    }
    found = causes(ModelSettings.model_validate(given), has_bound=True, has_scores=True)
    assert len(found) >= 2
    assert {getattr(d, "rhythm", None) for d in found} == {Rhythm.HOUR_OF_DAY}
