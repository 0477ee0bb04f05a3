"""Witnesses by the hours of a rhythm: what they are held to, what the ledger keeps of them, and that a season is no alarm to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from daemon.store import codec
from detectors.of_reference import filled
from detectors.rhythm import Rhythm
from detectors.sequential.hour_witness import LEAST_ROWS_N, HourState
from detectors.sequential.timed_rows import TimedTexts, TimedValues, times_of
from detectors.sketches.records import AT
from detectors.types import Outcome, Pairs, Reference
from tests.statistical.mornings import KINDS, START, detector, pane, reference, rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_season_alarms_without_the_rhythm_and_not_with_it_but_a_shift_and_shuffled_hours_do(kind: str) -> None:
    known = reference(kind, np.random.default_rng(1))

    def outcomes(rhythm: Rhythm, **how: Any) -> set[Outcome]:
        rng, one = np.random.default_rng(7), detector(kind, rhythm)
        state, told = one.start(known), set()
        for hour in range(18):
            state, verdict = one.step(state, pane(kind, hour, rng, **how))
            told.add(verdict.outcome)
        return told

    assert Outcome.ALARM in outcomes(Rhythm.NONE), "the season is no trouble, so there is nothing to show"
    first = set() if kind == "table" else {Outcome.INSUFFICIENT}  # distances of rows need no pane to learn from
    assert outcomes(Rhythm.HOUR_OF_DAY) == first | {Outcome.OK}
    assert Outcome.ALARM in outcomes(Rhythm.HOUR_OF_DAY, shift=1.0)
    assert Outcome.ALARM in outcomes(Rhythm.HOUR_OF_DAY, offset=12), "records at the wrong hours are no drift to it"


@pytest.mark.parametrize("kind", KINDS)
def test_the_ledger_keeps_no_reference_row_and_a_state_goes_on_as_if_it_had_not_been_read(kind: str) -> None:
    rng, one = np.random.default_rng(2), detector(kind)
    known = reference(kind, rng, per_hour=200)
    state = one.start(known)
    for hour in range(8):
        state, _ = one.step(state, pane(kind, hour, rng))
    blob = codec.encode(state)
    assert len(blob) < len(codec.encode(one.start(reference(kind, rng, per_hour=30)))) + 150_000  # whatever the reference's size
    again = filled(codec.decode(blob, HourState), one.start(known))
    assert again.learn != ()
    for hour in range(8, 14):
        data = pane(kind, hour, rng, shift=0.5)
        (state, verdict), (again, other) = one.step(state, data), one.step(again, data)
        assert verdict == other
    assert codec.encode(state) == codec.encode(again)


def test_a_state_that_was_just_read_bets_on_nothing_before_it_is_filled() -> None:
    rng, one = np.random.default_rng(3), detector("text")
    read = codec.decode(codec.encode(one.start(reference("text", rng))), HourState)
    assert read.learn == read.hold == ()


def test_hours_with_few_reference_rows_are_not_bet_on_and_that_is_said() -> None:
    rng, one = np.random.default_rng(4), detector("text")
    of = np.concatenate([np.repeat(np.arange(12), LEAST_ROWS_N), np.repeat(np.arange(12, 24), LEAST_ROWS_N - 1)])
    known = Reference(
        columns={**rows("text", of, rng), AT: START.timestamp() + 3600.0 * of}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d"
    )
    state = one.start(known)
    for hour in range(10, 12):
        state, verdict = one.step(state, pane("text", hour, rng))
    assert verdict.outcome is Outcome.OK
    assert f"12 of 24 hours have fewer than {LEAST_ROWS_N} reference texts and are not watched" in verdict.because
    before = state
    state, verdict = one.step(state, pane("text", 12, rng, shift=1.0))
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert verdict.because == f"not at this hour: at least {LEAST_ROWS_N} reference texts at the same hour of the day are needed"
    assert (state.log_m == before.log_m).all()  # no bet, so no step
    none = one.step(one.start(reference("text", rng, per_hour=5)), pane("text", 1, rng))[1]
    assert (none.outcome, none.n) == (Outcome.INSUFFICIENT, 0)


def test_it_learns_from_reference_rows_of_the_hours_that_production_is_of() -> None:
    """Learnt from rows of all hours it would see what mornings are like beside the change: three times as late here."""
    rng, one = np.random.default_rng(0), detector("text", alpha=1e-5)
    state, told = one.start(reference("text", rng, per_hour=200)), []
    for hour in range(8):
        state, verdict = one.step(state, pane("text", hour, rng, n=100, shift=0.2))
        told.append(verdict.outcome)
    assert Outcome.ALARM in told


def test_a_reference_without_times_is_said_to_have_none() -> None:
    rng = np.random.default_rng(6)
    bare = reference("text", rng)
    bare = Reference(columns={"input.x": bare.columns["input.x"]}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")
    one = detector("text")
    verdict = one.step(one.start(bare), pane("text", 1, rng))[1]
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert "at the same hour of the day are needed" in verdict.because


def test_vectors_of_a_sample_have_times_of_their_own() -> None:
    rng, one = np.random.default_rng(8), detector("vector")
    known = reference("vector", rng)
    some = rng.permutation(len(known.columns["input.x"]))[:900]
    columns = {"input.x": known.columns["input.x"][some], times_of("input.x"): known.columns[AT][some], AT: known.columns[AT]}
    state = one.start(Reference(columns=columns, kinds={}, sketches={}, bound=Pairs.empty(), digest="d"))
    hours = (known.columns[AT][some] - START.timestamp()) // 3600.0
    assert [len(a.hours) + len(b.hours) for a, b in zip(state.learn, state.hold, strict=True)] == np.bincount(hours.astype(int)).tolist()


def test_rows_are_taken_and_joined_in_order() -> None:
    texts = TimedTexts.of(["one", "two words", None, "and three words"], np.array([3, 1, -1, 2], dtype=np.int16))
    some = texts.take(np.array([3, 0]))
    assert some.hours.tolist() == [2, 3]
    for part, whole in ((0, 3), (1, 0)):
        assert ids(some, part) == ids(texts, whole)
    both = some.then(texts)
    assert [ids(both, i) for i in range(6)] == [ids(texts, i) for i in (3, 0, 0, 1, 2, 3)]
    values = TimedValues(values=np.arange(6).reshape(3, 2), hours=np.array([0, 1, 2], dtype=np.int16)).take(np.array([2, 0]))
    assert values.values.tolist() == [[4, 5], [0, 1]]


def ids(texts: TimedTexts, at: int) -> list[int]:
    ends = np.cumsum(texts.sizes)
    return [int(i) for i in texts.ids[ends[at] - texts.sizes[at] : ends[at]]]
