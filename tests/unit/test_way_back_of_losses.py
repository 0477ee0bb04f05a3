"""A rise of the loss that is over is over: its alarm ends, and the next one is seen as soon as the first, however long the bad time was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from daemon.store import codec
from detectors.registry import build
from detectors.sequential import loss_ranks
from detectors.sequential.bets import is_reached
from detectors.sequential.segment import Segment
from detectors.types import Increment, Outcome, Pairs, Reference, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
ALPHA, PANE_N, QUIET_N, BOUND_N = 1e-5, 100, 10, 1000
Rng = np.random.Generator


def errors(rng: Rng, n: int, share: float) -> Pairs:
    label = np.full(n, "a", dtype=object)
    shop = {"input.shop": np.full(n, "fr", dtype=object)}
    return Pairs(predicted=np.where(rng.random(n) < share, "b", "a").astype(object), label=label, columns=shop)


def numbers(rng: Rng, n: int, scale: float) -> Pairs:
    none = np.full(n, None, dtype=object)
    return Pairs(predicted=none, label=none, value=np.zeros(n), predicted_value=scale * rng.normal(size=n))


def judged(rng: Rng, n: int, share: float) -> Pairs:
    none = np.full(n, None, dtype=object)
    return Pairs(predicted=none, label=none, quality=np.where(rng.random(n) < share, rng.beta(2.0, 6.0, n), rng.beta(9.0, 2.0, n)))


DRAW = {"risk_rise": errors, "risk_value_rise": numbers, "risk_judged_rise": judged}


def pane(pairs: Pairs, at: int) -> Increment:
    start = START + timedelta(minutes=at)
    return Increment(start=start, end=start + timedelta(minutes=1), columns={}, pairs=pairs, n=pairs.n)


def begun(name: str, rng: Rng, usual: float, bound_n: int = BOUND_N, **settings: Any) -> tuple[Any, Any]:
    """(detector, state)"""
    detector = build(name, **{"alpha": ALPHA, **settings})
    bound = DRAW[name](rng, bound_n, usual)
    return detector, detector.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="d"))


def folded(name: str, *parts: tuple[int, float], seed: int = 0, **settings: Any) -> list[Verdict]:
    """Verdicts of so many panes at each figure; the bound rows are as the first."""
    rng = np.random.default_rng(seed)
    detector, state = begun(name, rng, parts[0][1], **settings)
    found = []
    for figure in np.repeat([figure for _, figure in parts], [n for n, _ in parts]):
        state, verdict = detector.step(state, pane(DRAW[name](rng, PANE_N, figure), 10_000 * seed + len(found)))
        found.append(verdict)
    return found


def is_alarm(found: list[Verdict]) -> list[bool]:
    return [v.outcome is Outcome.ALARM for v in found]


@pytest.mark.parametrize("bad_n", [3, 15, 50])
@pytest.mark.parametrize(("name", "usual", "bad"), [("risk_rise", 0.1, 0.5), ("risk_value_rise", 1.0, 2.0), ("risk_judged_rise", 0.1, 0.6)])
def test_an_alarm_ends_soon_after_its_rise_and_none_tells_the_way_back(name: str, usual: float, bad: float, bad_n: int) -> None:
    found = is_alarm(folded(name, (QUIET_N, usual), (bad_n, bad), (100, usual)))
    end = QUIET_N + bad_n
    assert not any(found[:QUIET_N])
    assert any(found[QUIET_N:end])
    assert not any(found[end + (10 if bad_n == 3 else 3) :])


@pytest.mark.parametrize("bad_n", [15, 200])
@pytest.mark.parametrize(
    ("name", "usual", "bad", "again"),
    [("risk_rise", 0.1, 0.3, 0.2), ("risk_rise", 0.1, 0.6, 0.2), ("risk_value_rise", 1.0, 2.0, 1.3), ("risk_judged_rise", 0.1, 0.4, 0.25)],
)
def test_a_smaller_rise_after_a_bad_time_is_seen_as_if_that_had_not_been(
    name: str, usual: float, bad: float, again: float, bad_n: int
) -> None:
    """With the bad time in the past: after 8 to 300 panes in place of 3 to 6, or never."""
    for seed in range(3):
        found = is_alarm(folded(name, (QUIET_N, usual), (bad_n, bad), (40, usual), (20, again), seed=seed))
        start = QUIET_N + bad_n + 40
        assert not any(found[start - 20 : start])
        assert any(found[start : start + 15])


def test_up_to_an_alarm_nothing_is_different_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: tuple[tuple[int, float], ...] = ((60, 0.1), (4, 0.14), (60, 0.1), (20, 0.3))
    ours = folded("risk_rise", *parts)
    monkeypatch.setattr(loss_ranks, "set_aside", lambda _, after, **__: after)
    plain = folded("risk_rise", *parts)
    reached = next(i for i, v in enumerate(ours) if is_reached(v.evidence.log10_e, ALPHA))  # type: ignore[union-attr]
    assert reached > 120
    assert [(v.evidence, v.e_value, v.value, v.n) for v in ours[:reached]] == [
        (v.evidence, v.e_value, v.value, v.n) for v in plain[:reached]
    ]
    assert (ours[reached].evidence, ours[reached].e_value) == (plain[reached].evidence, plain[reached].e_value)


def test_what_is_before_a_rise_is_what_came_until_the_evidence_last_rested() -> None:
    """Up to an alarm: what holds it back is what it was."""
    rng = np.random.default_rng(1)
    detector, state = begun("risk_rise", rng, 0.1)
    for at in range(200):
        state, _ = detector.step(state, pane(errors(rng, PANE_N, 0.2 if at > 150 else 0.1), at))
        assert np.array_equal(state.before, state.hours[0].weights - state.recent[2, 1:])
        if is_reached(state.log10_e, ALPHA):
            break
    assert 150 < at < 199
    assert state.hours[0].aside is not None


@pytest.mark.parametrize(("usual", "bad"), [(0.1, 0.2), (0.1, 0.5), (0.0, 0.05)])
def test_while_a_rise_lasts_an_end_is_as_rare_as_promised(usual: float, bad: float) -> None:
    """Once in 1/alpha panes or more, here 50; the bad panes differ from one another as draws do."""
    alpha, ends, ill_n = 0.02, 0, 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        detector, state = begun("risk_rise", rng, usual, bound_n=400, alpha=alpha, tolerance=0.0)
        for at in range(300):
            before = state.log_back
            state, _ = detector.step(state, pane(errors(rng, 50, bad), 1000 * seed + at))
            ends += before is not None and state.log_back is None
            ill_n += state.log_back is not None
    assert ill_n > 0.8 * 8 * 300
    assert ends <= alpha * ill_n


def test_a_rise_that_was_fine_leaves_the_past_too_when_it_is_over() -> None:
    """Evidence without an alarm: 80 panes at .18, tolerance .12; then back, then .27."""
    rng = np.random.default_rng(2)
    detector, state = begun("risk_rise", rng, 0.1, tolerance=0.12)
    figures = np.repeat([0.1, 0.18, 0.1, 0.27], [60, 80, 60, 15])
    found = []
    for at, figure in enumerate(figures):
        state, verdict = detector.step(state, pane(errors(rng, PANE_N, figure), at))
        found.append(verdict)
        if at == 139:
            assert state.log_back is not None
    outcomes = is_alarm(found)
    assert not any(outcomes[:200])
    assert any(outcomes[200:])
    assert state.hours[0].weights.sum() <= BOUND_N + PANE_N * (215 - 75)


def test_what_is_aside_is_kept_over_a_restart() -> None:
    rng = np.random.default_rng(3)
    detector, state = begun("risk_value_rise", rng, 1.0)
    for at in range(4):
        state, _ = detector.step(state, pane(numbers(rng, PANE_N, 3.0), at))
    read = codec.decode(codec.encode(state), type(state))
    assert read.log_back == state.log_back == 0.0
    assert read.hours[0].aside.sum() == 4 * PANE_N
    assert read.n == 4 * PANE_N


def test_labels_that_left_the_past_were_counted_all_the_same() -> None:
    """A segment that was bad from its first label is judged by its number of labels, not by those that are left."""
    rng = np.random.default_rng(4)
    within = Segment(column="input.shop", value="fr", least_n=300)
    detector, state = begun("risk_rise", rng, 0.05, within=within)
    for at in range(8):
        state, verdict = detector.step(state, pane(errors(rng, PANE_N, 0.5 if at < 5 else 0.05), at))
    assert state.log_back is None
    assert state.hours[0].weights.sum() <= BOUND_N + (8 - 5) * PANE_N
    assert state.n == 8 * PANE_N
    assert verdict.outcome is Outcome.OK
    assert "no evidence that it rose" in verdict.because


@pytest.mark.parametrize(("name", "usual", "bad"), [("risk_rise", 0.1, 0.3), ("risk_value_rise", 1.0, 2.0), ("risk_judged_rise", 0.1, 0.4)])
def test_an_alarm_stays_on_until_its_rise_is_over(name: str, usual: float, bad: float) -> None:
    """Beside few bound rows a rise is soon most of the past: the evidence of some goes below the alarm."""
    for seed in range(4):
        found = folded(name, (QUIET_N, usual), (120, bad), (30, usual), seed=seed, bound_n=100)
        loud, end = is_alarm(found), QUIET_N + 120
        first = loud.index(True)
        assert QUIET_N <= first < QUIET_N + 20
        assert all(loud[first:end])
        assert not any("no evidence" in v.because for v in found[first:end])
        assert not any(loud[end + 8 :])
