"""A change that is over is over: alarms end soon after it, no second one tells the way back, and while it lasts hardly any ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.store import codec
from detectors.of_reference import filled
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sketches.records import AT
from detectors.types import Increment, Outcome, Pairs, Reference

START = datetime(2026, 1, 1, tzinfo=UTC)
ALPHA, PANE_N, QUIET_N = 1e-4, 100, 10
Values = np.ndarray[Any, Any]


def number(rng: np.random.Generator, n: int, by: float) -> Values:
    return rng.normal(by, 1.0, n)


def category(rng: np.random.Generator, n: int, by: float) -> Values:
    return rng.choice(np.array(["a", "b", "c"], dtype=object), n, p=[0.6 - by, 0.3, 0.1 + by])


def text(rng: np.random.Generator, n: int, by: float) -> Values:
    words = np.array(["it", "was", "a", "film", "about", "two", "friends", "who", "meet", "again"], dtype=object)
    return np.array([" ".join(rng.choice(words, int(rng.integers(8, 20) * (1.0 + by)))) for _ in range(n)], dtype=object)


DRAW = {"conformal_numeric": number, "conformal_category": category, "text_figures": text}


def pane(values: Values, at: int, every: timedelta = timedelta(minutes=1), **columns: Values) -> Increment:
    start = START + at * every
    return Increment(start=start, end=start + every, columns={"input.x": values, **columns}, pairs=Pairs.empty(), n=len(values))


def reference(values: Values, **columns: Any) -> Reference:
    return Reference(columns={"input.x": values, **columns}, kinds={}, sketches={}, bound=Pairs.empty(), digest="d")


def alarms(name: str, by: float, bad_n: int, after_n: int, *, seed: int = 0) -> list[bool]:
    """Of quiet panes, then so many bad ones, then good ones again."""
    rng, draw = np.random.default_rng(seed), DRAW[name]
    detector = build(name, column="input.x", alpha=ALPHA)
    state, found = detector.start(reference(draw(rng, 1000, 0.0))), []
    for at in range(QUIET_N + bad_n + after_n):
        is_bad = QUIET_N <= at < QUIET_N + bad_n
        state, verdict = detector.step(state, pane(draw(rng, PANE_N, by if is_bad else 0.0), at))
        found.append(verdict.outcome is Outcome.ALARM)
    return found


@pytest.mark.parametrize(
    ("name", "by", "bad_n"),
    [
        ("conformal_numeric", -5.0, 4),
        ("conformal_numeric", -5.0, 15),
        ("conformal_numeric", 0.5, 50),
        ("conformal_category", 0.4, 4),
        ("conformal_category", 0.1, 15),
        ("conformal_category", 0.4, 50),
        ("text_figures", 1.0, 15),
    ],
)
def test_an_alarm_ends_soon_after_its_change_and_none_tells_the_way_back(name: str, by: float, bad_n: int) -> None:
    found = alarms(name, by, bad_n, 60)
    end = QUIET_N + bad_n
    assert not any(found[:QUIET_N])
    assert any(found[QUIET_N:end])
    assert not any(found[end + 10 :])  # without it to the end, but for the shortest


@pytest.mark.parametrize("seed", range(3))
def test_a_change_that_comes_again_after_it_is_seen_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    detector = build("conformal_numeric", column="input.x", alpha=ALPHA)
    state = detector.start(reference(number(rng, 1000, 0.0)))
    first_n: list[int] = []
    for turn in range(2):
        for at in range(60):
            by = 0.6 if at >= 40 else 0.0
            state, verdict = detector.step(state, pane(number(rng, PANE_N, by), 60 * turn + at))
            if at == 39:
                assert verdict.outcome is Outcome.OK
            if at >= 40 and verdict.outcome is Outcome.ALARM:
                first_n.append(at - 40)
                break
    assert max(first_n) <= 3
    assert len(first_n) == 2


@pytest.mark.parametrize(("by", "share"), [(0.4, 1.0), (-5.0, 0.3), (0.8, 0.4)])
def test_while_a_change_lasts_an_end_is_as_rare_as_promised(by: float, share: float) -> None:
    """Once in 1/alpha panes or more: here 1/alpha = 50, of which chance leaves room for three times as many."""
    alpha, panes_n, ends, ill_n = 0.02, 300, 0, 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        detector = build("conformal_numeric", column="input.x", alpha=alpha)
        state: Any = detector.start(reference(number(rng, 400, 0.0)))
        for at in range(panes_n):
            bad = rng.binomial(50, share)
            before = state.log_back
            values = np.concatenate([number(rng, bad, by), number(rng, 50 - bad, 0.0)])
            state, _ = detector.step(state, pane(values, 1000 * seed + at))
            ends += before is not None and state.log_back is None
            ill_n += state.log_back is not None
    assert ill_n > 0.8 * 6 * panes_n
    assert ends <= alpha * ill_n


def test_hours_have_urns_of_their_own_and_all_of_them_come_back() -> None:
    """Nights are 3 higher; for two days all is 2 higher, then as before."""
    rng = np.random.default_rng(4)
    hours = np.arange(24 * 60) % 24
    at = START.timestamp() - 3600.0 * (24 * 60 - np.arange(24 * 60))
    detector = build("conformal_numeric", column="input.x", alpha=ALPHA, rhythm=Rhythm.HOUR_OF_DAY)
    state: Any = detector.start(reference(number(rng, len(hours), 0.0) + 3.0 * (hours < 8), **{AT: at}))
    found = []
    for hour in range(24 * 8):
        by = 2.0 * (48 <= hour < 96)
        values = number(rng, 40, 0.0) + 3.0 * (hour % 24 < 8) + by
        when = np.full(40, START.timestamp() + 3600.0 * hour + 1.0)
        state, verdict = detector.step(state, pane(values, hour, timedelta(hours=1), **{AT: when}))
        found.append(verdict.outcome is Outcome.ALARM)
    assert not any(found[:48])
    assert all(found[50:96])
    assert not any(found[100:])
    assert state.log_back is None
    came = sum(cells.weights.sum() - cells.gaps.sum() for cells in state.hours)
    assert 40 * 24 * 5 < came <= 40 * 24 * 6  # the two bad days are out again


def test_what_is_aside_is_kept_over_a_restart() -> None:
    rng = np.random.default_rng(5)
    detector = build("conformal_numeric", column="input.x", alpha=ALPHA)
    known = reference(number(rng, 500, 0.0))
    state: Any = detector.start(known)
    for at in range(4):
        state, _ = detector.step(state, pane(number(rng, PANE_N, 2.0), at))
    read = filled(codec.decode(codec.encode(state), type(state)), detector.start(known))
    assert read.log_back == state.log_back == 0.0
    assert read.hours[0].aside.sum() == 4 * PANE_N


def test_another_change_during_one_is_no_way_back() -> None:
    """It is unlike both pasts: hardly a pane without an alarm."""
    rng = np.random.default_rng(6)
    detector = build("conformal_numeric", column="input.x", alpha=ALPHA)
    state = detector.start(reference(number(rng, 1000, 0.0)))
    found = []
    for at in range(60):
        state, verdict = detector.step(state, pane(number(rng, PANE_N, 0.0 if at < 10 else -2.0 if at < 30 else 2.0), at))
        found.append(verdict.outcome is Outcome.ALARM)
    assert not any(found[:10])
    assert all(found[11:])


def test_without_an_alarm_nothing_is_taken_out() -> None:
    """Evidence that neither rests nor alarms puts records aside; when it rests they are past like all others."""
    rng = np.random.default_rng(7)
    detector = build("conformal_numeric", column="input.x", alpha=1e-12)
    state: Any = detector.start(reference(number(rng, 1000, 0.0)))
    aside = []
    for at in range(80):
        state, verdict = detector.step(state, pane(number(rng, PANE_N, 0.25 if 10 <= at < 14 else 0.0), at))
        assert verdict.outcome is Outcome.OK
        assert state.log_back is None
        aside.append(0 if state.hours[0].aside is None else int(state.hours[0].aside.sum()))
    assert max(aside) >= 4 * PANE_N
    assert aside[-1] == 0
    assert state.hours[0].weights.sum() == 1001 + 80 * PANE_N


def test_two_thousand_million_records_of_a_change_leave_as_many_again() -> None:
    """A million a pane are so many in a day and a half."""
    rng = np.random.default_rng(8)
    detector = build("conformal_category", column="input.x", alpha=ALPHA)
    state: Any = detector.start(reference(category(rng, 1000, 0.0)))
    known, many = state.hours[0].weights, 2**31 - 200
    for at in range(25):
        if at == 4:
            urn = state.hours[0]
            came = np.where(urn.aside == urn.aside.max(), many, 0)
            state = replace(state, hours=(replace(urn, weights=urn.weights + came, aside=(urn.aside + came).astype(urn.aside.dtype)),))
        state, verdict = detector.step(state, pane(category(rng, PANE_N, 0.5 if at < 12 else 0.0), at))
    assert verdict.outcome is Outcome.OK
    assert state.log_back is None
    assert known.sum() < state.hours[0].weights.sum() <= known.sum() + 13 * PANE_N


@pytest.mark.parametrize(("name", "by"), [("conformal_numeric", 0.4), ("conformal_category", 0.1)])
def test_a_small_change_whose_end_is_not_told_does_not_go_on_for_ever(name: str, by: float) -> None:
    """What came after it is past like all else, so that the next change is compared with all of it and its alarm stays."""
    seen_n, on_n, ill_n = 0, 0, 0
    for seed in range(6):
        rng, detector = np.random.default_rng(seed), build(name, column="input.x", alpha=ALPHA)
        state: Any = detector.start(reference(DRAW[name](rng, 1000, 0.0)))
        found = []
        for at in range(280):
            on_n += at == 220 and state.log_back is not None
            now = by if QUIET_N <= at < 16 else -0.75 * by if at >= 220 else 0.0
            state, verdict = detector.step(state, pane(DRAW[name](rng, PANE_N, now), 1000 * seed + at))
            found.append(verdict.outcome is Outcome.ALARM)
        seen_n += any(found[QUIET_N:18])
        ill_n += sum(found[235:])
    assert seen_n >= 2  # of categories three in four streams are
    assert on_n <= 1
    assert ill_n >= 0.97 * 6 * 45


def test_the_end_is_told_beside_hundreds_of_rare_categories() -> None:
    late_n = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        names = np.array(["a", "b", *(f"c{i}" for i in range(900))], dtype=object)
        p = np.concatenate([[0.5, 0.3], np.full(900, 0.2 / 900)])
        more = 0.7 * p + 0.3 * (names == "a")
        detector = build("conformal_category", column="input.x", alpha=ALPHA)
        state = detector.start(reference(rng.choice(names, 1000, p=p)))
        found = []
        for at in range(90):
            is_bad = QUIET_N <= at < QUIET_N + 20
            state, verdict = detector.step(state, pane(rng.choice(names, PANE_N, p=more if is_bad else p), 1000 * seed + at))
            found.append(verdict.outcome is Outcome.ALARM)
        assert any(found[QUIET_N : QUIET_N + 20])
        late_n += sum(found[QUIET_N + 35 :])
    assert late_n <= 10
