"""Missing values by the hours of a rhythm: what is counted where, what the ledger keeps, and who is told of the rhythm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.quality import quality
from daemon.settings import ModelSettings
from daemon.store import codec
from detectors.of_reference import filled
from detectors.quality.by_hour import ByHour, step_by_hour
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.share import start_share, step_counts
from detectors.sketches.records import AT
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, Increment, Outcome, Pairs, Reference

DAY = datetime(2026, 11, 23, tzinfo=UTC)
COLUMN = "input.x"
KINDS = (ColumnKind.NUMERIC, ColumnKind.TEXT, ColumnKind.EMBEDDING)


def values(kind: ColumnKind, is_missing: Any) -> Any:
    if kind is ColumnKind.TEXT:
        return np.where(is_missing, None, "words").astype(object)
    found = np.where(is_missing, np.nan, 1.0)
    return found if kind is ColumnKind.NUMERIC else np.stack([found, found], axis=1).astype(np.float32)


def reference(kind: ColumnKind = ColumnKind.NUMERIC, night: int = 60, *, timed: bool = True) -> Reference:
    """200 rows an hour; in the first eight hours so many are missing, else ten."""
    hours, place = np.divmod(np.arange(24 * 200), 200)
    columns = {COLUMN: values(kind, place < np.where(hours < 8, night, 10))}
    sketches = summarise(columns, {COLUMN: kind})
    times = {AT: DAY.timestamp() - 86_400.0 + 3600.0 * hours} if timed else {}
    return Reference(columns={**columns, **times}, kinds={COLUMN: kind}, sketches=sketches, bound=Pairs.empty(), digest="d")


def pane(hours: Any, is_missing: Any, kind: ColumnKind = ColumnKind.NUMERIC, *, wrong: int = 0, at: int = 9) -> Increment:
    """At nine o'clock; `hours`: of its records, None = they carry no time."""
    columns = {COLUMN: values(kind, is_missing)} | ({} if hours is None else {AT: DAY.timestamp() + 3600.0 * np.asarray(hours) + 60.0})
    start = DAY.replace(hour=at)
    return Increment(start=start, end=start, columns=columns, pairs=Pairs.empty(), n=len(is_missing), wrong={COLUMN: wrong})


def detector(**settings: Any) -> Any:
    return build("missing_rise", **({"column": COLUMN, "alpha": 1e-4, "rhythm": Rhythm.HOUR_OF_DAY} | settings))


def test_hours_with_one_limit_bet_as_all_records_do_that_have_it() -> None:
    """One step, whatever the number of hours in a pane."""
    rng, limit = np.random.default_rng(1), 0.07
    whole = start_share(limit, bound_n=9, bound_value=limit, is_restarting=True)
    known = detector().start(reference()).known
    by_hour = ByHour(known=known, share=whole, limits=np.full(24, limit), rows=np.ones(24, dtype=np.int64))
    for _ in range(40):
        n = rng.integers(0, 12, 24) * (rng.random(24) < 0.3)
        k = rng.binomial(n, 0.12)
        whole = step_counts(whole, int(n.sum()), int(k.sum()), restart_alpha=1e-3)
        by_hour = step_by_hour(by_hour, n, k, alpha=1e-3)
        for one, other in ((by_hour.share.log_m, whole.log_m), (by_hour.share.purse.log_v, whole.purse.log_v)):
            assert one == pytest.approx(other)
        assert by_hour.share.recent == pytest.approx(whole.recent)
        assert (by_hour.share.n, by_hour.share.errors_n) == (whole.n, whole.errors_n)
    assert by_hour.limit(is_alarm=False) == pytest.approx(limit)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_counts_at_its_own_hour_and_without_a_time_at_the_panes(kind: ColumnKind) -> None:
    one = detector()
    state = one.start(reference(kind))
    assert isinstance(state, ByHour)
    assert state.limits[:8] == pytest.approx(state.limits[0])
    assert (state.limits[0] > 0.4, state.limits[9] < 0.2) == (True, True)
    gone = np.arange(100) < 60
    late, _ = one.step(state, pane(np.full(100, 3), gone, kind))  # of the night, told at nine
    mixed, _ = one.step(state, pane(np.where(gone, 3, 9), gone, kind))
    bare, said = one.step(state, pane(None, gone, kind))
    assert late.held[1].tolist() == pytest.approx([100.0, 100.0 * state.limits[3]])
    assert mixed.held[1].tolist() == pytest.approx([100.0, 60.0 * state.limits[3] + 40.0 * state.limits[9]])
    assert bare.held[1].tolist() == pytest.approx([100.0, 100.0 * state.limits[9]])
    assert said.outcome is Outcome.ALARM
    assert said.limit == pytest.approx(state.limits[9])
    assert late.share.log_m[0] < bare.share.log_m[0]


def test_what_is_there_and_does_not_read_is_not_missing_at_any_hour() -> None:
    one = detector()
    state = one.start(reference())
    read, _ = one.step(state, pane(np.full(100, 9), np.arange(100) < 30, wrong=25))
    same, _ = one.step(state, pane(np.full(100, 9), np.arange(100) < 5))
    assert codec.encode(read) == codec.encode(same)


def test_the_limits_are_made_again_and_the_state_of_a_release_without_hours_starts_afresh() -> None:
    one = detector()
    fresh = one.start(reference())
    state, _ = one.step(fresh, pane(np.full(50, 9), np.arange(50) < 9))
    stored = codec.encode(state)
    assert len(stored) < 1_000
    again = filled(codec.decode(stored, type(fresh)), fresh)
    news = pane(np.full(50, 3), np.arange(50) < 30)
    assert one.step(again, news)[1] == one.step(state, news)[1]
    before = detector(rhythm=Rhythm.NONE).start(reference())
    with pytest.raises(ValueError, match="expected a state of ByHour"):
        codec.decode(codec.encode(before), type(fresh))


@pytest.mark.parametrize("known", [reference(night=10), reference(timed=False)], ids=["alike", "without times"])
def test_where_no_hours_are_told_apart_all_have_one_limit_at_half_of_delta(known: Reference) -> None:
    one, whole = detector(), detector(rhythm=Rhythm.NONE, delta=0.005)
    state, other = one.start(known), whole.start(known)
    assert codec.encode(state) == codec.encode(other)
    (_, said), (_, told) = (d.step(s, pane(np.full(50, 3), np.arange(50) < 40)) for d, s in ((one, state), (whole, other)))
    assert said == replace(told, because=f"{told.because}, alike at all hours", evidence=replace(told.evidence, delta=0.01))


def test_hours_that_lacked_every_value_are_not_bet_on_and_without_any_other_nothing_is_said() -> None:
    night = reference(night=200)
    nothing = pane(np.full(50, 3), np.ones(50, dtype=bool))
    _, said = detector().step(detector().start(night), nothing)
    assert (said.outcome, said.limit is not None) == (Outcome.INSUFFICIENT, True)
    assert said.because == f"{COLUMN}: no values yet at the same hour of the day; 8 of 24 hours have no limit and are not watched"
    rows = np.flatnonzero(np.arange(24 * 200) % 200 >= 198)  # two an hour
    few, one = replace(night, columns={s: v[rows] for s, v in night.columns.items()}), detector(tolerance=0.05)
    state = one.start(few)
    _, said = one.step(state, nothing)
    assert isinstance(state, ByHour)
    assert (said.outcome, said.limit, said.e_value) == (Outcome.INSUFFICIENT, None, None)
    assert "no limit can be set" in said.because


@pytest.mark.parametrize("rhythm", Rhythm)
def test_the_rhythm_of_the_reference_is_that_of_missing_values_alone(rhythm: Rhythm) -> None:
    model = ModelSettings.model_validate(
        {"name": "m", "task": "tabular-regression", "columns": {"x": "numeric"}, "reference": {"rhythm": rhythm.value}}
    )
    found = {d.name: getattr(d, "rhythm", None) for d in quality(model, [COLUMN])}
    assert {name: of for name, of in found.items() if of is not None} == {"missing_rise": rhythm}
