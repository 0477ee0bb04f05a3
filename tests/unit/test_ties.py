"""Alarms of ties alone are held back, and no others; what the reference gives is not in the ledger."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.store import codec
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.recent import add_sums, no_sums
from detectors.sequential.ties import UNKNOWN, gained_since_rest, is_of_ties, most_gain
from detectors.sketches.records import AT
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
ALPHA = 0.02
Values = np.ndarray[Any, Any]


def as_column(name: str, marks: Values) -> Values:
    """Marks 0 or 1 as a number, a category or a text."""
    if name == "conformal_numeric":
        return marks.astype(np.float64)
    return np.where(marks, *{"conformal_category": ("fr", "us"), "text_figures": ("LOUD 7!", "hello there")}[name]).astype(object)


def reference(values: Values, **columns: Any) -> Reference:
    return Reference(columns={"input.x": values, **columns}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")


def pane(i: int, values: Values, every: timedelta = timedelta(minutes=1)) -> Increment:
    start = START + i * every
    return Increment(start=start, end=start + every, columns={"input.x": values}, pairs=Pairs.empty(), n=len(values))


def is_there(verdict: Verdict, alpha: float = ALPHA) -> bool:
    return getattr(verdict.evidence, "log10_e", -math.inf) >= -math.log10(alpha)


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category", "text_figures"])
def test_what_is_constant_never_alarms_though_its_evidence_does(name: str) -> None:
    detector, reached = build(name, column="input.x", alpha=ALPHA), 0
    for seed in range(4):
        state = detector.start(reference(as_column(name, np.zeros(400 + seed, dtype=bool))))
        for i in range(400):
            state, verdict = detector.step(state, pane(10_000 * seed + i, as_column(name, np.zeros(15, dtype=bool))))
            assert verdict.outcome is Outcome.OK
            assert ("random order of equal" in verdict.because) == is_there(verdict)
            reached += is_there(verdict)
        for i in range(400, 404):
            state, verdict = detector.step(state, pane(10_000 * seed + i, as_column(name, np.ones(15, dtype=bool))))
        assert verdict.outcome is Outcome.ALARM, "and it does as soon as it moves"
    assert reached


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category"])
@pytest.mark.parametrize(("before", "after"), [(0.5, 0.6), (0.02, 0.08), (0.0, 0.03), (0.05, 0.0)])
def test_where_values_moved_the_alarm_comes_with_the_evidence(name: str, before: float, after: float) -> None:
    detector = build(name, column="input.x", alpha=1e-3)
    rng = np.random.default_rng(1)
    state = detector.start(reference(as_column(name, rng.random(4000) < before)))
    for i in range(10):
        state, _ = detector.step(state, pane(i, as_column(name, rng.random(200) < before)))
    for i in range(10, 70):
        state, verdict = detector.step(state, pane(i, as_column(name, rng.random(200) < after)))
        assert (verdict.outcome is Outcome.ALARM) == is_there(verdict, 1e-3)
        if is_there(verdict, 1e-3):
            return
    pytest.fail("no evidence, so there is nothing to show")


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category"])
def test_hours_that_change_places_alarm_though_the_whole_stays_as_it_was(name: str) -> None:
    detector = build(name, column="input.x", alpha=1e-3, rhythm=Rhythm.HOUR_OF_DAY)
    hours = np.arange(4800) % 24
    state = detector.start(reference(as_column(name, hours < 12), **{AT: START.timestamp() + 3600.0 * hours}))
    for i in range(24):
        state, verdict = detector.step(state, pane(i, as_column(name, np.full(20, i % 24 < 12)), timedelta(hours=1)))
        assert verdict.outcome is Outcome.OK
    for i in range(24, 48):
        state, verdict = detector.step(state, pane(i, as_column(name, np.full(20, i % 24 >= 12)), timedelta(hours=1)))
    assert verdict.outcome is Outcome.ALARM


def test_no_bet_on_values_gains_more_than_the_one_that_knew_them() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        chances, bets = rng.dirichlet(np.ones(6)), rng.exponential(size=6)
        counts = rng.multinomial(40, rng.dirichlet(np.ones(6))).astype(np.float64)
        assert counts @ np.log(bets / (bets @ chances)) <= most_gain(counts, chances) + 1e-9
    assert most_gain(np.array([7.0, 0.0]), np.array([1.0, 0.0])) == 0.0
    assert most_gain(np.array([0.0, 1.0]), np.array([1.0, 0.0])) > 20.0, "what the reference has none of"
    assert most_gain(np.zeros(3), np.ones(3) / 3) == 0.0


def test_evidence_whose_beginning_is_not_known_is_not_held_back() -> None:
    rising, resting = (add_sums(no_sums(1), 5, np.ones(1), log10_e=log10_e, alpha=0.01) for log10_e in (2.0, 0.1))
    assert is_of_ties(gained_since_rest(0.0, 1.0, rising), rising, 0.01)
    assert not is_of_ties(gained_since_rest(1.5, 1.0, rising), rising, 0.01)
    assert not is_of_ties(gained_since_rest(UNKNOWN, 0.0, rising), rising, 0.01)
    assert gained_since_rest(UNKNOWN, 1.0, resting) == 0.0, "from rest on it is known"
    assert not is_of_ties(0.0, resting, 0.01), "at rest there is none"


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category", "text_figures"])
@pytest.mark.parametrize("rhythm", [Rhythm.NONE, Rhythm.HOUR_OF_DAY])
def test_a_state_of_an_older_release_that_holds_its_reference_goes_on(name: str, rhythm: Rhythm, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, detector = np.random.default_rng(3), build(name, column="input.x", alpha=ALPHA, rhythm=rhythm)
    known = reference(as_column(name, rng.random(500) < 0.3), **{AT: START.timestamp() + 3600.0 * np.arange(500)})
    state, _ = detector.step(detector.start(known), pane(0, as_column(name, rng.random(50) < 0.3)))
    monkeypatch.setattr(codec, "is_kept", lambda f: f.name != "gained")
    written = codec.encode(state)
    monkeypatch.undo()
    assert len(written) > len(codec.encode(state))
    again = filled(codec.decode(written, type(state)), detector.start(known))
    for i in range(1, 12):
        data = pane(i, as_column(name, rng.random(50) < 0.1 * i))
        (state, one), (again, two) = detector.step(state, data), detector.step(again, data)
        assert one == two
    assert one.outcome is Outcome.ALARM


@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category"])
def test_a_state_of_another_reference_does_not_read(name: str) -> None:
    detector, marks = build(name, column="input.x", alpha=ALPHA), np.arange(40) % 2 == 0
    state = codec.decode(codec.encode(detector.start(reference(as_column(name, marks)))), type(detector.start(reference(np.empty(0)))))
    with pytest.raises(ValueError, match=r"cells, the state has|other rows of the reference"):
        filled(state, detector.start(reference(as_column(name, marks[::2]))))
    timed = build(name, column="input.x", alpha=ALPHA, rhythm=Rhythm.HOUR_OF_DAY)
    with pytest.raises(ValueError, match="the reference gives 24 parts, the state has 1"):
        filled(state, timed.start(reference(as_column(name, marks), **{AT: START.timestamp() + 3600.0 * np.arange(40)})))
