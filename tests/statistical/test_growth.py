"""The smallest change that is said to be seen within a day is seen within it, in about as many days as said, and not a much smaller one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from daemon.watched.seen.day import Day
from daemon.watched.soon import soon_seen
from detectors.registry import build
from detectors.sequential import growth
from detectors.sequential.growth import SEEN, least_times, smallest_growth, smallest_rise, smallest_share, smallest_shift
from detectors.sequential.growth_of_gaps import smallest_fall, smallest_gap, weight_of_first
from detectors.sequential.growth_of_witness import half_b, smallest_part
from detectors.sequential.input_of_segment import NumberWithin
from detectors.sequential.joined_cells import MOST as MOST_CELLS
from detectors.sequential.joined_cells import MOST_OF_AN_HOUR
from detectors.sequential.scores import SCORE_WEIGHTS, SHIFTS
from detectors.sequential.segment import Segment
from detectors.types import Pairs
from tests.statistical.conftest import objects

ALPHA, REFERENCE_N, PANES_N, DAYS_N = 1e-5, 2000, 40, 24
FEW, MOST = 14, 8
"""Of 24 days: P(Binomial(24, .8) < 14) = .004; a change of two thirds of the size is seen in less than a third."""


def seen(make: Any, detector: Any, reference: Any, day: Any, *, days_n: int = DAYS_N, panes_n: int = PANES_N) -> int:
    """Days in which it alarms before the last pane."""
    rng = np.random.default_rng(41)
    runs = (make.run_length(detector, reference(rng), (make.increment(i, **day(rng)) for i in range(panes_n))) for _ in range(days_n))
    return sum(run < panes_n for run in runs)


@pytest.mark.parametrize("n", [400, 2000])
def test_the_shift_of_a_number(make: Any, n: int) -> None:
    shift = smallest_shift(alpha=ALPHA, hours=((REFERENCE_N, n),))
    detector = build("conformal_numeric", column="input.x", alpha=ALPHA)
    counts = [
        seen(
            make,
            detector,
            lambda rng: make.reference(x=rng.normal(size=REFERENCE_N)),
            lambda rng, s=size: {"x": rng.normal(s, size=n // PANES_N)},
        )
        for size in (shift, 0.6 * shift)
    ]
    assert counts[0] >= FEW, f"a shift of {shift:.2f} was seen in {counts[0]} of {DAYS_N} days"
    assert counts[1] <= MOST, f"a shift of {0.6 * shift:.2f} was seen in {counts[1]} of {DAYS_N} days"


def test_the_shift_of_a_number_within_a_segment_whose_cells_are_joined(make: Any) -> None:
    shift = smallest_shift(alpha=ALPHA, hours=((REFERENCE_N, 400),))
    detector = NumberWithin(column="input.x", within=Segment(column="input.shop", value="fr"), alpha=ALPHA)

    def drawn(rng: np.random.Generator, n: int, mean: float) -> Any:
        is_french = np.arange(3 * n) % 3 == 0
        return {"x": rng.normal(size=3 * n) + mean * is_french, "shop": objects(np.where(is_french, "fr", "de"))}

    counts = [
        seen(make, detector, lambda rng: make.reference(**drawn(rng, REFERENCE_N, 0.0)), lambda rng, s=size: drawn(rng, 400 // PANES_N, s))
        for size in (shift, 0.6 * shift)
    ]
    assert counts[0] >= FEW, f"a shift of {shift:.2f} was seen in {counts[0]} of {DAYS_N} days"
    assert counts[1] <= MOST, f"a shift of {0.6 * shift:.2f} was seen in {counts[1]} of {DAYS_N} days"


@pytest.mark.parametrize(("cells_n", "hours_n", "most"), [(MOST_CELLS, 1, 0.005), (MOST_OF_AN_HOUR, 24, 0.035)])
@pytest.mark.parametrize(("reference_n", "n"), [(480, 300), (2000, 3000), (5000, 30_000)])
def test_joined_cells_hardly_move_what_is_said_to_be_seen(cells_n: int, hours_n: int, most: float, reference_n: int, n: int) -> None:
    """The same reckoning with ranks that are drawn within cells: what `retuned check` leaves out within segments."""
    hours = ((reference_n // hours_n, n / hours_n),) * hours_n
    said = smallest_shift(alpha=ALPHA, hours=hours)
    needed = -np.log(growth._EXACT * SCORE_WEIGHTS[: len(SHIFTS)] * ALPHA)
    edges, within = ndtri(np.arange(cells_n + 1) / cells_n), (np.arange(64) + 0.5) / 64

    def gains(shift: float, reference_n: float, past: float) -> Any:
        moved = np.diff(ndtr(edges - shift))  # (cells,), share of the new records
        weights = (reference_n / cells_n + past * moved) / (reference_n + past)
        z = ndtri((np.cumsum(weights) - weights)[:, None] + weights[:, None] * within)  # (cells, 64)
        mean = float((moved[:, None] / 64 * z).sum())
        return SHIFTS * mean - SHIFTS**2 / 2.0, SHIFTS**2 * float((moved[:, None] / 64 * (z - mean) ** 2).sum())

    joined = growth.least_seen(lambda shift: growth.is_reached_on_the_way(lambda r, past: gains(shift, r, past), hours, needed), 0.0, 8.0)
    assert said - 1e-3 <= joined <= (1.0 + most) * said + 1e-3, (said, joined)  # 1e-3: as near as either is computed


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_share_of_a_category(make: Any, share: float) -> None:
    def drawn(rng: np.random.Generator, n: int, p: float) -> Any:
        return objects(np.where(rng.random(n) < p, "a", rng.choice(["b", "c"], n)))

    n, watched_n = 1000, 5
    risen = smallest_share(alpha=ALPHA, share=share, watched_n=watched_n, hours=((REFERENCE_N * 2 // 3, n),))
    detector = build("conformal_category", column="input.x", alpha=ALPHA)
    counts = [
        seen(
            make,
            detector,
            lambda rng: make.reference(x=drawn(rng, REFERENCE_N, share)),
            lambda rng, q=p: {"x": drawn(rng, n // PANES_N, q)},
        )
        for p in (risen, share + 0.5 * (risen - share))
    ]
    assert counts[0] >= FEW, f"a rise from {share} to {risen:.3f} was seen in {counts[0]} of {DAYS_N} days"
    assert counts[1] <= MOST, f"half of that rise was seen in {counts[1]} of {DAYS_N} days"


def test_the_fall_of_an_accuracy_below_its_floor(make: Any) -> None:
    n = 800
    risen = smallest_rise(alpha=ALPHA, hours=((0.2, n),))
    detector = build("accuracy_floor", minimum=0.8, alpha=ALPHA)
    counts = [
        seen(make, detector, lambda _: make.reference(), lambda rng, q=loss: {"pairs": make.pairs_of(rng, n // PANES_N, q)})
        for loss in (risen, 0.2 + 0.6 * (risen - 0.2))
    ]
    assert counts[0] >= FEW, f"errors of {risen:.3f} were seen in {counts[0]} of {DAYS_N} days"
    assert counts[1] <= MOST


def test_the_gap_between_two_groups(make: Any) -> None:
    n, alpha, panes_n, days_n = 2000, 0.01, 10, 12
    gap = smallest_gap(alpha=alpha, maximum=0.1, weight=weight_of_first(1), first_n=n / 2, second_n=n / 2)
    detector = build("fairness_gap", metric="demographic_parity_difference", by="g", positive="yes", alpha=alpha)

    def pairs(rng: np.random.Generator, size: float) -> Pairs:
        group = rng.random(n // panes_n) < 0.5
        answer = objects(np.where(rng.random(len(group)) < 0.5 + size * (group - 0.5), "yes", "no"))
        return Pairs(predicted=answer, label=answer, groups={"g": objects(np.where(group, "a", "b"))})

    sizes = (gap, 0.1 + 0.5 * (gap - 0.1))
    size_of = {"days_n": days_n, "panes_n": panes_n}
    counts = [seen(make, detector, lambda _: make.reference(), lambda rng, s=s: {"pairs": pairs(rng, s)}, **size_of) for s in sizes]
    assert counts[0] >= 6, f"a gap of {gap:.3f} was seen in {counts[0]} of {days_n} days"
    assert counts[1] <= 4


def test_more_records_show_a_smaller_shift_and_too_few_show_none() -> None:
    shifts = [smallest_shift(alpha=ALPHA, hours=((REFERENCE_N, n),)) for n in (5, 100, 1000, 10_000, 100_000)]
    assert math.isinf(shifts[0])
    assert shifts[1:4] == sorted(shifts[1:4], reverse=True)
    assert shifts[4] == pytest.approx(shifts[3], abs=0.01)  # of 2,000 rows no smaller one: it becomes its own past first
    assert smallest_rise(alpha=ALPHA, hours=((0.2, 3),)) == math.inf
    assert smallest_share(alpha=ALPHA, share=0.5, watched_n=5, hours=((0, 1000),)) == math.inf
    assert 0.5 < SEEN < 1.0


def test_a_rhythm_shows_as_much_where_each_hour_has_its_part_of_the_rows_and_less_where_it_has_fewer() -> None:
    whole = smallest_shift(alpha=ALPHA, hours=((2400, 1440),))
    assert smallest_shift(alpha=ALPHA, hours=((100, 60),) * 24) == pytest.approx(whole, abs=2e-3)
    assert smallest_shift(alpha=ALPHA, hours=((10, 60),) * 24) > 1.2 * whole


def test_labels_of_a_plan_are_worth_at_least_as_many_even_ones_as_the_least_chance_would_bring(make: Any) -> None:
    """Of 4,000 records a day those that may be wrong get a label with a chance of .4, the others of .05: as 200 even ones, or more."""
    day = Day(records_n=4000, labels_n=600, panes_n=PANES_N)
    detector: Any = build("accuracy_floor", minimum=0.8, alpha=ALPHA, most_weight=20.0)
    (found,) = soon_seen([detector], make.reference(), day)
    assert found.smallest == pytest.approx(1.0 - smallest_rise(alpha=ALPHA, hours=((0.2, 200.0),)))

    def planned(rng: np.random.Generator, right: float) -> Pairs:
        unsure = rng.random(4000 // PANES_N) < 2.0 / 7.0
        chance = np.where(unsure, 0.4, 0.05)
        is_wrong = rng.random(len(unsure)) < (1.0 - right) * np.where(unsure, 2.0, 0.6)
        drawn = rng.random(len(unsure)) < chance
        none = objects(np.where(is_wrong, "no", "yes"))
        return replace(Pairs(predicted=none, label=objects(["yes"] * len(none))), weight=1.0 / chance).take(drawn)

    counts = [
        seen(make, detector, lambda _: make.reference(), lambda rng, x=x: {"pairs": planned(rng, x)})
        for x in (found.smallest or 0.0, 0.8 - 0.3 * (0.8 - (found.smallest or 0.0)))
    ]
    assert counts[0] >= FEW, f"an accuracy of {found.smallest:.3f} was seen on {counts[0]} of {DAYS_N} days"
    assert counts[1] <= MOST


def test_the_number_that_it_takes_is_the_least_at_which_something_is_seen() -> None:
    def smallest(times: float) -> float:
        return smallest_rise(alpha=ALPHA, hours=((0.2, times),))

    takes = least_times(smallest)
    assert math.isfinite(smallest(takes))
    assert math.isinf(smallest(0.85 * takes))
    assert math.isinf(least_times(lambda _: math.inf))


def test_what_is_certain_is_seen_sooner() -> None:
    """Losses that scatter less, groups alike in size, a larger reference: each shows a smaller change."""
    losses = np.full(100, 0.15)
    of = {"alpha": ALPHA, "limit": 0.2, "n": 400.0}
    assert 0.2 < smallest_growth(losses, **of) < smallest_growth(np.repeat([0.0, 1.0], [85, 15]) + 0.01, **of)
    even, uneven = ({"alpha": 0.01, "weight": 0.3, "first_n": 1000.0, "second_n": n} for n in (1000.0, 200.0))
    assert smallest_gap(maximum=0.1, **even) < smallest_gap(maximum=0.1, **uneven)
    assert smallest_gap(maximum=0.1, **even, spread=0.2) < smallest_gap(maximum=0.1, **even)
    assert smallest_fall(minimum=0.8, **even) > smallest_fall(minimum=0.8, **uneven)
    parts = [smallest_part(alpha=ALPHA, delta=0.01, hours=((half_b(n), 1000.0),), panes_n=1440) for n in (100, 500, 5000)]
    assert parts == sorted(parts, reverse=True)
    assert math.isinf(smallest_part(alpha=ALPHA, delta=0.01, hours=((1536, 100.0),), panes_n=1440))
    by_hour = smallest_part(alpha=ALPHA, delta=0.01, hours=((64, 1000.0 / 24.0),) * 24, panes_n=1440)
    assert parts[-1] < by_hour < 1.0  # each hour has its own few rows to be held to
