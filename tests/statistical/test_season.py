"""Ranks within the hour are exact, a season is no alarm with a rhythm and a shift still is, and a rhythm is found beyond chance only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors.column_scores import scores_of
from detectors.periodicity import ALPHA, Periodicity, periodicities
from detectors.registry import build
from detectors.rhythm import LEAST_ROWS, Rhythm
from detectors.sequential.number_cells import cells_by_hour, ranked
from detectors.sketches.records import AT
from detectors.types import ColumnKind, Increment, Pairs, Reference
from tests.prove.limits import least_mean_run
from tests.prove.remedies import REMEDIES, remedied, remedy_places
from tests.prove.trials import DELTA, RUN_ALPHA, proven, stream
from tests.prove.worlds import WORLDS
from tests.statistical import mornings

START = datetime(2026, 11, 23, tzinfo=UTC)
BY_HOUR = "season, by hour of day"


@pytest.mark.parametrize("rows_n", [LEAST_ROWS, 3])
def test_ranks_within_the_hour_are_uniform_and_know_nothing_of_those_before_whatever_the_hours_are_like(rows_n: int) -> None:
    """With 3 rows an hour they are among its own records alone."""
    rng, rows = np.random.default_rng(1), []
    for _ in range(300):  # a fresh reference for each
        hours = np.repeat(np.arange(24), rows_n)
        reference = hours**2 + rng.integers(0, 3, len(hours)) * 1.0  # heavy ties, every hour elsewhere
        cells = cells_by_hour(reference, {AT: 3600.0 * hours}, Rhythm.HOUR_OF_DAY, 0.01)
        news = [(h, h**2 + rng.integers(0, 3, 1) * 1.0) for h in (3, 4, 3, 17, 3, 4)]
        held, found = list(cells), []
        for hour, value in news:
            held[hour], exact, _ = ranked(held[hour], value, rng.random((2, 1)))
            found.append(exact[0])
        rows.append(found)
    ranks = np.array(rows)
    for at in range(ranks.shape[1]):
        assert stats.kstest(ranks[:, at], "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef(ranks.T)[np.triu_indices(6, 1)]).max() < 5.0 / np.sqrt(300)


@pytest.mark.parametrize(
    ("name", "streams_n"),
    [  # of judgements a rise is held back as fine, and the others' seasons are within what bound and tolerance leave
        *(("conformal_numeric", 32), ("conformal_category", 32), ("risk_rise", 64), ("risk_value_rise", 64)),
        *(("risk_value_change", 32), ("value_ceiling", 64)),
    ],
)
@pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(5, id="full", marks=pytest.mark.prove)])
def test_a_season_alarms_at_once_and_with_the_rhythm_the_promised_run_length_holds_again(
    judge: Any, name: str, streams_n: int, size: int
) -> None:
    least, n = (1.0 - DELTA) / RUN_ALPHA, streams_n * size
    before = np.array([stream(name, "season", seed)["panes"] for seed in range(n)])
    assert before.mean() < least_mean_run(n, least), f"{name}: the season is no trouble, so there is nothing to remedy: {before.mean()}"
    after = np.array([remedied(name, BY_HOUR, seed)["panes"] for seed in range(n)])
    judge.run_lengths(f"{name}, season: {before.mean():.0f} panes without a rhythm; by hour of day", after, least)


@pytest.mark.prove
@pytest.mark.parametrize("kind", mornings.KINDS)
def test_mornings_about_other_things_are_no_alarm_to_a_witness_that_knows_hours(judge: Any, kind: str) -> None:
    """A day of hourly panes; a season without the rhythm, and hours that are wrong by half a day, miss the same limit."""
    least, n = (1.0 - DELTA) / RUN_ALPHA, 24
    limit = least_mean_run(n, least)
    without, wrong = (np.mean([mornings.run(kind, seed, **how) for seed in range(n)]) for how in ({"rhythm": Rhythm.NONE}, {"offset": 12}))
    assert without < limit, f"{kind}: the season is no trouble, so there is nothing to remedy: {without}"
    assert wrong < limit, f"{kind}: hours that are wrong by half a day are not noticed: {wrong}"
    after = np.array([mornings.run(kind, seed) for seed in range(n)])
    name = f"{mornings.NAMES[kind]}, mornings about other things: {without:.0f} panes without a rhythm, {wrong:.0f} by wrong hours"
    judge.run_lengths(f"{name}; by hour of day", after, least)


def test_the_remedy_that_is_simulated_is_for_detectors_that_have_no_rhythm() -> None:
    names = {
        name: {r.name for r in remedy_places(proven(name), WORLDS)}
        for name in ("conformal_numeric", "risk_rise", "risk_change", "f1_floor")
    }
    assert names["conformal_numeric"] == names["risk_rise"] == names["risk_change"] == {BY_HOUR, "AR(1), one row of 44"}
    assert names["f1_floor"] == {"season, one hour", "AR(1), one row of 44"}
    assert len(REMEDIES) == 3


@pytest.mark.parametrize(("rhythm", "days"), [(Rhythm.HOUR_OF_DAY, 7), (Rhythm.HOUR_OF_WEEK, 28)])
def test_a_shift_of_every_hour_is_seen_within_hours_although_each_hour_has_few_records_of_its_own(rhythm: Rhythm, days: int) -> None:
    """30 records an hour: half a standard deviation is seen within a day, one within a few hours."""
    rng, per_hour = np.random.default_rng(5), 30
    hours = np.repeat(np.arange(24 * days), per_hour)
    columns = {"input.x": level(hours) + rng.normal(size=len(hours)), AT: START.timestamp() + 3600.0 * hours}
    reference = Reference(columns=columns, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    detector = build("conformal_numeric", column="input.x", alpha=1e-5, rhythm=rhythm)
    for shift, most in ((0.5, 24), (1.0, 8)):
        state, delays = detector.start(reference), 0
        for hour in range(24 * days, 24 * days + 48):
            values = level(np.full(per_hour, hour)) + rng.normal(shift, size=per_hour)
            when = START + timedelta(hours=hour)
            pane = Increment(start=when, end=when + timedelta(hours=1), columns={"input.x": values}, pairs=Pairs.empty(), n=per_hour)
            state, verdict = detector.step(state, pane)
            delays += 1
            if verdict.outcome.value == "alarm":
                break
        assert delays <= most, f"a shift of {shift} took {delays} hours"


def level(hours: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(3.0 * np.sin(2.0 * np.pi * hours / 24.0) + 2.0 * (hours // 24 % 7 >= 5))


def recorded(
    seed: int, *, days: int, per_hour: int = 8, daily: float = 0.0, weekend: float = 0.0, memory: float = 0.6, columns_n: int = 3
) -> list[Periodicity]:
    """What is found in numbers and a category that remember the hour before, the first of which has a rhythm; one column is a constant."""
    rng = np.random.default_rng(seed)
    ats = np.sort(rng.random(24 * days * per_hour)) * 86_400.0 * days + START.timestamp() + 30_000.0  # days begin and end at 8:20
    hour = (ats // 3600 - ats[0] // 3600).astype(int)
    scores = {}
    for i in range(columns_n):
        steps = rng.normal(size=24 * days + 2)
        for h in range(1, len(steps)):
            steps[h] = memory * steps[h - 1] + np.sqrt(1.0 - memory**2) * steps[h]
        values = rng.normal(size=len(ats)) + 0.5 * steps[hour]
        if i == 0:
            values += daily * np.sin(2.0 * np.pi * (ats // 3600 % 24) / 24.0) + weekend * ((ats // 86_400 + 3) % 7 >= 5)
        scores[f"x{i}"] = scores_of(values, ColumnKind.NUMERIC)
    scores["c"] = scores_of(np.where(values > 0.5, "a", "b").astype(object), ColumnKind.CATEGORY)
    scores["constant"] = scores_of(np.ones(len(ats)), ColumnKind.NUMERIC)
    return periodicities({name: score for name, score in scores.items() if score is not None}, ats, rng)


def test_without_a_rhythm_none_is_found_more_often_than_said_however_alike_neighbouring_hours_are(judge: Any) -> None:
    found = [recorded(seed, days=15, per_hour=3) for seed in range(60)]
    for rhythm in (Rhythm.HOUR_OF_DAY, Rhythm.HOUR_OF_WEEK):
        some = np.array([any(f.p <= ALPHA for f in columns if f.rhythm is rhythm) for columns in found])
        judge.failures(f"{rhythm.value} in four columns with a memory of hours and no rhythm", some, ALPHA)


def test_a_rhythm_is_found_in_the_column_that_has_it_with_what_it_explains() -> None:
    daily = recorded(1, days=15, daily=1.0, memory=0.0)
    assert [(f.subject, f.rhythm) for f in daily if f.is_found] == [("x0", Rhythm.HOUR_OF_DAY)]
    assert daily[0].explained_ratio == pytest.approx(0.5 / 1.75, abs=0.06)  # var of the sine 1/2, of the rest 1.25
    weekly = recorded(2, days=28, weekend=1.5, memory=0.0)
    assert [(f.subject, f.rhythm) for f in weekly if f.is_found] == [("x0", Rhythm.HOUR_OF_WEEK)]
    assert {f.subject for f in weekly} == {"x0", "x1", "x2", "c"}


def test_too_few_days_show_nothing_and_texts_and_vectors_have_rhythms_too() -> None:
    assert recorded(3, days=1, daily=2.0) == []
    assert {f.rhythm for f in recorded(3, days=8, daily=2.0)} == {Rhythm.HOUR_OF_DAY}
    rng = np.random.default_rng(4)
    ats = START.timestamp() + np.arange(0, 6 * 86_400, 300.0)
    is_night = ats // 3600 % 24 < 6
    texts = np.array(
        ["it hurts and cannot wait" if night and rng.random() < 0.5 else "where is my parcel" for night in is_night], dtype=object
    )
    vectors = rng.normal(size=(len(ats), 12)) + is_night[:, None]
    kinds = {"text": (texts, ColumnKind.TEXT), "vector": (vectors, ColumnKind.EMBEDDING)}
    scores = {name: scores_of(*given) for name, given in kinds.items()}
    found = periodicities({name: score for name, score in scores.items() if score is not None}, ats, rng)
    assert {f.subject for f in found if f.is_found} == {"text", "vector"}


def test_where_an_hour_has_many_records_its_beginning_differs_from_its_end_and_quarters_of_hours_help() -> None:
    """12,000 records an hour of a sine as large as in the proofs; a false alarm in 1,000 days."""
    rng, per_minute = np.random.default_rng(9), 200

    def sine(ats: Any) -> Any:
        return 1.4 * np.sin(2.0 * np.pi * ats / 86_400.0) + rng.normal(size=len(ats))

    known = np.sort(rng.random(20_000)) * 7 * 86_400.0 + START.timestamp()
    reference = Reference(columns={"input.x": sine(known), AT: known}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    outcomes = {}
    for rhythm in (Rhythm.HOUR_OF_DAY, Rhythm.QUARTER_HOUR_OF_DAY):
        detector = build("conformal_numeric", column="input.x", alpha=7e-7, rhythm=rhythm)
        state, said = detector.start(reference), set()
        for minute in range(120):
            when = START + timedelta(days=7, minutes=minute)
            ats = when.timestamp() + 60.0 * rng.random(per_minute)
            columns = {"input.x": sine(ats), AT: ats}
            pane = Increment(start=when, end=when + timedelta(minutes=1), columns=columns, pairs=Pairs.empty(), n=per_minute)
            state, verdict = detector.step(state, pane)
            said.add(verdict.outcome.value)
        outcomes[rhythm] = said
    assert outcomes == {Rhythm.HOUR_OF_DAY: {"ok", "alarm"}, Rhythm.QUARTER_HOUR_OF_DAY: {"ok"}}
