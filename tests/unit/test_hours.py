"""Hours of a rhythm, and what detectors make of records of several hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daemon.check.read import SettingsError, load_settings
from daemon.settings import ModelSettings
from daemon.store import codec
from daemon.store.reference import load_reference
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm, hours_of, rows_by_hour
from detectors.rhythm_window import during
from detectors.sketches.records import AT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Outcome, Pairs, Reference

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
PER_HOUR = 40


def at(**passed: float) -> float:
    return (MONDAY + timedelta(**passed)).timestamp()


@pytest.mark.parametrize(
    ("when", "day", "week"),
    [
        (at(), 0, 0),
        (at(minutes=59, seconds=59.9), 0, 0),
        (at(hours=1), 1, 1),
        (at(days=1, hours=9), 9, 33),
        (at(days=6, hours=23.5), 23, 167),
    ],
)
def test_an_hour_is_known_by_its_number_from_midnight_or_monday(when: float, day: int, week: int) -> None:
    assert [hours_of(np.array([when]), r).item() for r in (Rhythm.NONE, Rhythm.HOUR_OF_DAY, Rhythm.HOUR_OF_WEEK)] == [0, day, week]
    assert hours_of(np.array([np.nan]), Rhythm.HOUR_OF_DAY).tolist() == [-1]


def test_rows_go_to_the_hours_of_their_own_times_or_all_to_the_panes() -> None:
    columns = {AT: np.array([at(hours=2), at(hours=1), np.nan, at(days=3, hours=1)])}
    assert [(h, rows.tolist()) for h, rows in rows_by_hour(columns, 4, Rhythm.HOUR_OF_DAY)] == [(1, [1, 3]), (2, [0])]
    assert [(h, rows.tolist()) for h, rows in rows_by_hour({}, 2, Rhythm.HOUR_OF_DAY, otherwise=at(hours=5))] == [(5, [0, 1])]
    assert list(rows_by_hour({}, 2, Rhythm.HOUR_OF_DAY)) == []


def world(kind: str, hours: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A level, or an answer, of its own at every hour."""
    if kind == "conformal_numeric":
        return 10.0 * hours + rng.normal(size=len(hours))
    return np.array([f"c{h % 5}" if r < 0.9 else "other" for h, r in zip(hours, rng.random(len(hours)), strict=True)], dtype=object)


def reference(kind: str, rng: np.random.Generator, *, hours_n: int = 24) -> Reference:
    hours = np.repeat(np.arange(hours_n), PER_HOUR)
    ats = MONDAY.timestamp() + 3600.0 * hours + 3599.0 * rng.random(len(hours))
    return Reference(columns={"input.x": world(kind, hours, rng), AT: ats}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")


def pane(values: np.ndarray[Any, Any], ats: np.ndarray[Any, Any] | None, start: datetime) -> Increment:
    columns = {"input.x": values} | ({AT: ats} if ats is not None else {})
    return Increment(start=start, end=start + timedelta(hours=1), columns=columns, pairs=Pairs.empty(), n=len(values))


@pytest.mark.parametrize("kind", ["conformal_numeric", "conformal_category"])
def test_a_record_is_compared_with_its_own_hour_even_in_a_pane_of_another(kind: str) -> None:
    """Each hour has a level of its own: one record in the wrong hour would be an outlier, a pane of them an alarm."""
    rng = np.random.default_rng(1)
    detector: Any = build(kind, column="input.x", alpha=0.001, rhythm=Rhythm.HOUR_OF_DAY)
    known = reference(kind, rng)
    state, blind = detector.start(known), replace(detector, rhythm=Rhythm.NONE)
    unaware = blind.start(known)
    outcomes, unaware_outcomes = [], []
    for i in range(24):
        hours = np.array([i] * 20 + [(i - 2) % 24] * 10)  # late records: two hours before the pane
        ats = MONDAY.timestamp() + 7 * 86_400 + 3600.0 * (hours + 24) + 1800.0
        news = pane(world(kind, hours, rng), ats, MONDAY + timedelta(days=7, hours=i))
        state, verdict = detector.step(state, news)
        unaware, other = blind.step(unaware, news)
        outcomes.append(verdict.outcome)
        unaware_outcomes.append(other.outcome)
    assert set(outcomes) == {Outcome.OK}
    assert Outcome.ALARM in unaware_outcomes
    moved = pane(world(kind, np.full(60, 9), rng), np.full(60, at(days=9, hours=3)), MONDAY + timedelta(days=9, hours=9))
    state, verdict = detector.step(state, moved)
    assert verdict.outcome is Outcome.ALARM
    assert "at the same hour of the day" in verdict.because


@pytest.mark.parametrize("kind", ["conformal_numeric", "conformal_category"])
def test_an_hour_that_the_reference_lacks_learns_from_its_own_records_and_sees_what_changes_from_then_on(kind: str) -> None:
    rng = np.random.default_rng(2)
    detector: Any = build(kind, column="input.x", alpha=0.001, rhythm=Rhythm.HOUR_OF_DAY)
    state = detector.start(reference(kind, rng, hours_n=3))
    for day in range(6):  # unlike anything in the reference, and the same every day
        quiet = pane(world(kind, np.full(50, 13), rng), None, MONDAY + timedelta(days=day, hours=13))
        state, verdict = detector.step(state, quiet)
        assert verdict.outcome is Outcome.OK, f"day {day}: {verdict.because}"
    for day in range(6, 12):
        moved = pane(world(kind, np.full(50, 0), rng), None, MONDAY + timedelta(days=day, hours=13))
        state, verdict = detector.step(state, moved)
    assert verdict.outcome is Outcome.ALARM


@pytest.mark.parametrize("kind", ["conformal_numeric", "conformal_category"])
def test_rows_without_a_time_are_no_reference_of_a_rhythm(kind: str) -> None:
    rng = np.random.default_rng(2)
    detector: Any = build(kind, column="input.x", alpha=0.01, rhythm=Rhythm.HOUR_OF_WEEK)
    timeless = replace(reference(kind, rng), columns={"input.x": reference(kind, rng).columns["input.x"]})
    _, verdict = detector.step(detector.start(timeless), pane(world(kind, np.full(50, 2), rng), None, MONDAY))
    assert (verdict.outcome, "with a time (`at`)" in verdict.because) == (Outcome.INSUFFICIENT, True)


@pytest.mark.parametrize("kind", ["conformal_numeric", "conformal_category"])
@pytest.mark.parametrize("rhythm", [Rhythm.HOUR_OF_DAY, Rhythm.HOUR_OF_WEEK])
def test_the_state_is_bounded_stored_and_read_back(kind: str, rhythm: Rhythm) -> None:
    rng = np.random.default_rng(3)
    hours = np.arange(20_000) % rhythm.hours_n
    values: np.ndarray[Any, Any] = rng.normal(size=20_000)
    if kind == "conformal_category":
        values = np.array([f"value {i}" for i in rng.integers(0, 3000, 20_000)], dtype=object)
    columns = {"input.x": values, AT: MONDAY.timestamp() + 3600.0 * hours}
    detector: Any = build(kind, column="input.x", alpha=0.01, rhythm=rhythm)
    known = Reference(columns=columns, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    state, _ = detector.step(detector.start(known), pane(values[200:300], None, MONDAY))
    stored = codec.encode(state)
    assert len(stored) < 63_000
    moved = tuple(replace(cells, aside=np.ones(len(cells.weights), dtype=np.int32)) for cells in state.hours)
    assert len(codec.encode(replace(state, hours=moved))) < 85_000  # while a change is on, what came since is counted by itself
    news = pane(values[:100], None, MONDAY)
    again = filled(codec.decode(stored, type(state)), detector.start(known))
    (first, one), (second, two) = detector.step(again, news), detector.step(state, news)
    assert one == two
    assert codec.encode(first) == codec.encode(second)


def model(**reference: Any) -> ModelSettings:
    return ModelSettings.model_validate(
        {"name": "m", "task": "tabular-regression", "columns": {"x": "numeric"}, "reference": {"kind": "file", **reference}}
    )


@pytest.mark.parametrize("given", ["2026-11-23T01:30:00Z", "2026-11-23T02:30:00+01:00", datetime(2026, 11, 23, 1, 30), at(hours=1.5)])  # noqa: DTZ001 (a file's)
def test_a_reference_knows_the_times_of_its_rows_in_every_shape_that_they_come_in(tmp_path: Path, given: Any) -> None:
    pq.write_table(pa.Table.from_pylist([{"x": 1.0, "at": given}] * 5), tmp_path / "r.parquet")
    assert load_reference(model(), tmp_path / "r.parquet", None).columns[AT].tolist() == [at(hours=1.5)] * 5


def test_a_rhythm_is_part_of_the_references_identity_and_no_rhythm_leaves_it_as_it_was(tmp_path: Path) -> None:
    for name, hour in (("a", 1), ("b", 2)):
        pq.write_table(pa.Table.from_pylist([{"x": 1.0, "at": at(hours=hour)}] * 5), tmp_path / name)
        (tmp_path / name).rename(tmp_path / f"{name}.parquet")
    digests = {(n, r): load_reference(model(rhythm=r), tmp_path / f"{n}.parquet", None).digest for n in "ab" for r in Rhythm}
    assert digests["a", Rhythm.NONE] == digests["b", Rhythm.NONE]
    assert len(set(digests.values())) == 7
    pq.write_table(pa.Table.from_pylist([{"x": 1.0, "at": "noon"}] * 5), tmp_path / "c.parquet")
    assert np.isnan(load_reference(model(), tmp_path / "c.parquet", None).columns[AT]).all()


def test_a_pane_longer_than_an_hour_has_no_hour(tmp_path: Path) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text(
        "models:\n  - name: m\n    task: tabular-regression\n    reference: {rhythm: hour_of_day}\n"
        "    monitors: {pane_s: 7200, window_s: 7200}\n"
    )
    with pytest.raises(SettingsError, match=r"monitors.pane_s = 7200\.0: must be at most 3600"):
        load_settings(file)


def test_a_window_is_compared_with_the_rows_of_its_own_hours_in_its_proportions() -> None:
    hours = np.repeat(np.arange(48), 20)
    ats = MONDAY.timestamp() + 3600.0 * hours
    columns: dict[str, Any] = {"input.x": 1.0 * (hours % 24), AT: ats, "input.text.embedding": np.ones((7, 2), dtype=np.float32)}
    kinds = {"input.x": ColumnKind.NUMERIC}
    whole = Reference(columns=columns, kinds=kinds, sketches=summarise(columns, kinds), bound=Pairs.empty(), digest="d")
    part = during(whole, Rhythm.HOUR_OF_DAY, at(days=9, hours=8, minutes=45), at(days=9, hours=9, minutes=45))
    found = np.bincount(part.columns["input.x"].astype(int), minlength=24)
    assert (found[8], found[9], found.sum()) == (13, 40, 53)  # a third of the forty
    assert (part.sketches["input.x"]["moments"].n, len(part.columns[AT]), len(part.columns["input.text.embedding"])) == (53, 53, 7)
    day = during(whole, Rhythm.HOUR_OF_DAY, at(days=9), at(days=10))
    assert len(day.columns["input.x"]) == len(hours)
    week = during(whole, Rhythm.HOUR_OF_WEEK, at(days=1, hours=8), at(days=1, hours=9))
    assert set(week.columns[AT].tolist()) == {at(days=1, hours=8)}
    assert len(during(whole, Rhythm.HOUR_OF_WEEK, at(days=3), at(days=4)).columns["input.x"]) == 0
    assert during(whole, Rhythm.NONE, at(), at(hours=1)) is whole


def test_a_quarter_of_an_hour_is_told_from_the_next_and_panes_must_fit_into_it(tmp_path: Path) -> None:
    quarters = Rhythm.QUARTER_HOUR_OF_DAY
    times = [at(), at(minutes=14.9), at(minutes=15), at(hours=23, minutes=59), at(days=3, hours=1)]
    assert hours_of(np.array(times), quarters).tolist() == [0, 0, 1, 95, 4]
    ats = MONDAY.timestamp() + 900.0 * np.arange(96)
    columns = {"input.x": np.arange(96.0), AT: ats}
    whole = Reference(columns=columns, kinds={"input.x": ColumnKind.NUMERIC}, sketches={}, bound=Pairs.empty(), digest="d")
    assert during(whole, quarters, at(hours=1), at(hours=2)).columns["input.x"].tolist() == [4.0, 5.0, 6.0, 7.0]
    file = tmp_path / "retuned.yaml"
    reference = "reference: {rhythm: quarter_hour_of_day}"
    file.write_text(f"models:\n  - name: m\n    task: tabular-regression\n    {reference}\n    monitors: {{pane_s: 1800}}\n")
    with pytest.raises(SettingsError, match=r"monitors.pane_s = 1800\.0: must be at most 900"):
        load_settings(file)
