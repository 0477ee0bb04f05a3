"""Hours are cut in two no more often than said where they are alike, and the bounds of both parts hold together as often as promised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from detectors.registry import build
from detectors.rhythm import Rhythm
from detectors.sequential.hour_levels import LEVEL, levels_of
from detectors.sequential.hour_limits import upper_by_hour
from detectors.sequential.interval import upper_mean
from detectors.types import Increment, Outcome, Pairs, Reference
from tests.prove.limits import least_mean_run
from tests.prove.trials import RUN_ALPHA

Floats = np.ndarray[Any, Any]
DELTA = 0.4

SHAPES: dict[str, Callable[[Floats], Floats]] = {
    "alike": lambda h: 0.1 + 0.0 * h,
    "nights": lambda h: np.where(h < 8, 0.14, 0.06),
    "nights, far harder": lambda h: np.where(h < 8, 0.4, 0.05),
    "a sine": lambda h: 0.1 + 0.08 * np.sin(2.0 * np.pi * h / 24.0),
    "a large sine": lambda h: 0.3 + 0.25 * np.sin(2.0 * np.pi * h / 24.0),
    "two peaks": lambda h: np.where(h % 12 < 3, 0.2, 0.06),
}


def drawn(shape: str, n: int, seed: int, *, is_share: bool = True) -> tuple[Floats, Floats]:
    """(losses, hours) of n rows at all hours of the day."""
    rng = np.random.default_rng([seed, n])
    hours = rng.integers(0, 24, n)
    p = SHAPES[shape](hours.astype(np.float64))
    return (rng.random(n) < p) * 1.0 if is_share else rng.beta(2.0, 2.0 / p - 2.0), hours


@pytest.mark.parametrize("n", [300, 1000])
@pytest.mark.parametrize("is_share", [True, False])
def test_hours_that_are_alike_are_seldom_told_apart(judge: Any, n: int, is_share: bool) -> None:
    found = np.array([levels_of(*drawn("alike", n, seed, is_share=is_share), 24) is not None for seed in range(200)])
    judge.failures(f"hours alike, {n} rows: told apart", found, LEVEL)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_share", [True, False])
def test_the_bounds_of_both_parts_hold_together(judge: Any, shape: str, is_share: bool) -> None:
    """Of the mean over the hours of each part, in the proportions of the rows that bound it: all that is proven."""
    truth, missed = SHAPES[shape](np.arange(24.0)), []
    for seed in range(150):
        x, hours = drawn(shape, 600, seed, is_share=is_share)
        levels = levels_of(x, hours, 24)
        if levels is None:
            missed.append(upper_mean(x, DELTA / 2.0) < truth[hours].mean())
        else:
            missed.append(any(upper_mean(x[rows], DELTA / 4.0) < truth[hours[rows]].mean() for rows in levels.rows))
    judge.failures(f"{shape}: a bound misses", np.array(missed), DELTA)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "alike"])
def test_limits_by_hour_are_above_each_hours_own_mean_by_more_than_a_tolerance_allows(shape: str) -> None:
    """2,000 bound rows, a tolerance of .05: of 40 x 24 hours at most one in a hundred has a mean above its limit."""
    truth, above = SHAPES[shape](np.arange(24.0)), []
    for seed in range(40):
        x, hours = drawn(shape, 2000, seed)
        none = np.full(len(x), None, dtype=object)
        bound = Pairs(predicted=none, label=none, at=3600.0 * hours)
        _, found = upper_by_hour(x, bound, np.arange(len(x)), Rhythm.HOUR_OF_DAY, 0.01)
        assert found is not None, "2,000 rows tell these hours apart"
        above += (truth > found.most + 0.05).tolist()
    assert np.mean(above) <= 0.01


def test_the_harder_hours_are_found() -> None:
    hits = []
    for seed in range(30):
        x, hours = drawn("nights", 3000, seed)
        levels = levels_of(x, hours, 24)
        assert levels is not None
        hits.append((levels.is_harder == (np.arange(24) < 8)).mean())
    assert np.mean(hits) > 0.85


def test_rows_that_are_too_few_or_without_a_time_give_no_levels() -> None:
    x, hours = drawn("a large sine", 190, 1)
    assert levels_of(x, hours, 24) is None
    x, hours = drawn("a large sine", 2000, 1)
    assert levels_of(x, np.full_like(hours, -1), 24) is None
    some = levels_of(x, np.where(np.arange(2000) < 1000, hours, -1), 24)
    assert some is not None
    assert not any(rows[1000:].any() for rows in some.rows)


@pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(5, id="full", marks=pytest.mark.prove)])
def test_with_every_hour_at_its_limit_alarms_come_as_seldom_as_promised(judge: Any, size: int) -> None:
    """Hourly panes of 15 labels at 1/alpha = 50; hours that are wrong by half a day miss the same limit, by far."""
    runs = {offset: np.array([_run(seed, offset) for seed in range(48 * size)]) for offset in (0, 12)}
    assert runs[12].mean() < least_mean_run(48 * size, 1.0 / RUN_ALPHA), "hours that are wrong are not noticed"
    judge.run_lengths(f"risk_change, every hour at its limit; {runs[12].mean():.0f} panes by wrong hours", runs[0], 1.0 / RUN_ALPHA)


def _run(seed: int, offset: int) -> float:
    """Panes to the first alarm, at most 300; the bounds themselves are taken as right. `offset`: hours by which times are wrong."""
    x, hours = drawn("nights, far harder", 1500, seed)
    rng, start = np.random.default_rng([seed, 5]), datetime(2026, 11, 23, tzinfo=UTC)
    detector: Any = build("risk_change", alpha=RUN_ALPHA, rhythm=Rhythm.HOUR_OF_DAY)
    state: Any = detector.start(Reference(columns={}, kinds={}, sketches={}, bound=_errors(x, 3600.0 * hours), digest="d"))
    assert state.hours is not None
    limits = state.hours.most
    for i in range(300):
        begun = start + timedelta(hours=i)
        pairs = _errors((rng.random(15) < limits[i % 24]) * 1.0, np.full(15, (begun + timedelta(hours=offset)).timestamp()))
        state, verdict = detector.step(state, Increment(start=begun, end=begun + timedelta(hours=1), columns={}, pairs=pairs, n=15))
        if verdict.outcome is Outcome.ALARM:
            break
    return i + 1.0


def _errors(x: Floats, ats: Floats) -> Pairs:
    label = np.full(len(x), "a", dtype=object)
    return Pairs(predicted=np.where(x > 0.0, "b", "a").astype(object), label=label, at=ats)
