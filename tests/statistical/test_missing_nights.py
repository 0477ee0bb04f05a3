"""Values that are missing with the rhythm of a day: a night like all nights is no alarm, more than that is, and the promises hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from daemon.watched.seen.day import Day
from daemon.watched.soon import soon_seen
from detectors.quality.by_hour import LEVEL, ByHour, differ
from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.share import NO_LIMIT
from detectors.types import Outcome
from tests.prove.limits import least_mean_run
from tests.statistical.nights import COLUMN, NIGHT, pane, reference, run, shares

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


def detector(rhythm: Rhythm = Rhythm.HOUR_OF_DAY, name: str = "missing_rise", **settings: Any) -> Any:
    return build(name, column=COLUMN, rhythm=rhythm, **({"alpha": 1e-5} | settings))


@pytest.mark.parametrize("rows_n", [50, 400])
def test_a_night_like_all_nights_alarms_without_the_rhythm_and_with_it_a_worse_night_or_day_does(rows_n: int) -> None:
    """5 % by day, 30 % by night; 50 reference rows an hour are what `retuned check` asks for, 60 records an hour come."""
    rng, usual = np.random.default_rng(1), shares(0.05, 0.3)
    known = reference(rng, usual, rows_n)
    night, said = run(detector(Rhythm.NONE), known, (pane(rng, i, usual) for i in range(168)))
    assert (said.outcome, night <= 8) == (Outcome.ALARM, True), "the season is no trouble, so there is nothing to show"
    assert run(detector(), known, (pane(rng, i, usual) for i in range(168)))[1].outcome is Outcome.OK
    nights, said = run(detector(), known, (pane(rng, i, shares(0.05, 0.9)) for i in range(168)))
    assert (said.outcome, nights <= 2) == (Outcome.ALARM, True)
    assert "bound plus tolerance at the same hour of the day" in said.because
    assert said.limit is not None
    assert said.limit < said.low
    by_day = shares(0.25 if rows_n == 400 else 0.5, 0.3)  # less than in a usual night, or little more
    assert run(detector(), known, (pane(rng, i, by_day) for i in range(8, 24)))[1].outcome is Outcome.ALARM


def test_a_rise_that_few_rows_an_hour_leave_unseen_alarms_by_ranks_within_the_hour() -> None:
    """50 reference rows an hour: at night 55 % would be fine."""
    rng, usual, worse = np.random.default_rng(2), shares(0.05, 0.3), shares(0.25, 0.5)
    known = reference(rng, usual, 50)
    assert run(detector(), known, (pane(rng, i, worse) for i in range(48)))[1].outcome is Outcome.OK
    assert run(detector(name="conformal_numeric"), known, (pane(rng, i, worse) for i in range(48)))[1].outcome is Outcome.ALARM


def test_a_column_that_lacks_nothing_at_any_hour_is_held_to_what_all_rows_say() -> None:
    rng, none = np.random.default_rng(3), shares(0.0, 0.0)
    known = reference(rng, none, 50)
    hours, said = run(detector(), known, (pane(rng, i, shares(0.1, 0.1)) for i in range(24)))
    assert (said.outcome, hours <= 4) == (Outcome.ALARM, True)
    assert said.because.endswith("plus tolerance, alike at all hours")
    assert said.limit == pytest.approx(0.01 + 1.0 - 0.005 ** (1 / 1200))  # half of delta: by hours it would be .18


@short_and_full
def test_hours_that_are_alike_are_told_apart_as_seldom_as_said_and_nights_nearly_always(judge: Any, size: int) -> None:
    rng, n = np.random.default_rng(4), np.full(24, 50)
    alike = np.array([differ(n, rng.binomial(n, 0.05)) for _ in range(200 * size)])
    judge.failures("missing_rise by hours: hours that are alike are told apart", alike, LEVEL)
    nights = np.array([not differ(n, rng.binomial(n, shares(0.05, 0.3))) for _ in range(200 * size)])
    judge.failures("missing_rise by hours: nights of .30 beside days of .05 are not told apart", nights, 0.01)


@short_and_full
@pytest.mark.parametrize("night", [0.05, 0.3])
def test_some_limit_is_too_low_in_at_most_delta_of_the_references(judge: Any, night: float, size: int) -> None:
    rng, delta, usual, failed = np.random.default_rng(5), 0.1, shares(0.05, night), []
    for _ in range(100 * size):
        state = detector(delta=delta).start(reference(rng, usual, 100))
        limits = state.limits if isinstance(state, ByHour) else state.share.limit
        failed.append(bool(((limits != NO_LIMIT) & (limits < usual + 0.01)).any()))
    judge.failures(f"missing_rise by hours: a limit from 100 rows an hour, .05 by day and {night:.2f} by night", np.array(failed), delta)


@short_and_full
def test_hours_as_bad_as_is_fine_run_as_long_as_promised(judge: Any, size: int) -> None:
    """At each hour the reference's share and the tolerance; without the rhythm the same nights miss the same limit."""
    rng, alpha, usual, n = np.random.default_rng(6), 1 / 25, shares(0.05, 0.3), 40 * size

    def runs(rhythm: Rhythm) -> Any:
        one = detector(rhythm, alpha=alpha, delta=0.05, tolerance=0.02)
        return np.array([run(one, reference(rng, usual, 640), (pane(rng, i, usual + 0.02) for i in range(240)))[0] for _ in range(n)])

    assert runs(Rhythm.NONE).mean() < least_mean_run(n, 0.95 / alpha), "the season is no trouble, so there is nothing to remedy"
    judge.run_lengths("missing_rise by hours (whole detector, at each hour's tolerance)", runs(Rhythm.HOUR_OF_DAY), 0.95 / alpha)


def test_the_change_that_check_names_is_seen_on_such_days_and_half_of_it_on_few() -> None:
    rng, usual = np.random.default_rng(7), shares(0.05, 0.3)
    known, one = reference(rng, usual, 400), detector()
    (named,) = soon_seen([one], known, Day(records_n=24 * 60.0, labels_n=None, panes_n=24))
    state = one.start(known)
    assert "of values are missing (fine: " in named.says
    assert named.says.endswith(" in the mean of the hours)")
    assert named.smallest is not None
    part = (named.smallest - state.share.limit) / (1.0 - state.share.limit)

    def seen(part: float) -> float:
        days = [run(one, known, (pane(rng, i, state.limits + part * (1.0 - state.limits)) for i in range(24))) for _ in range(40)]
        return float(np.mean([said.outcome is Outcome.ALARM for _, said in days]))

    assert seen(part) >= 0.65
    assert seen(part / 2.0) <= 0.5


def test_hours_that_the_reference_lacks_are_not_bet_on_and_told() -> None:
    rng, usual = np.random.default_rng(8), shares(0.05, 0.3)
    known = reference(rng, usual, 400)
    kept = np.flatnonzero(np.arange(24 * 400) // 400 != 3)
    few = replace(known, columns={s: values[kept] for s, values in known.columns.items()})
    state = detector().start(few)
    assert isinstance(state, ByHour)
    assert np.flatnonzero(~state.limited).tolist() == [3]
    for i in range(2):
        state, _ = detector().step(state, pane(rng, i, usual))
    after, said = detector().step(state, pane(rng, 3, np.ones(24)))
    assert after is state
    assert said.because.endswith("at the same hour of the day; 1 of 24 hours have no limit and are not watched")
    assert NIGHT[3]
