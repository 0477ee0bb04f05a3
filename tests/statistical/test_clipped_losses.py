"""Errors of numbers are cut where the bound rows say; in a shifted world the intervals hold the mean of what is cut by their own rows."""

from __future__ import annotations

import pytest

from detectors.examples import one_input, reference_of
from tests.prove.followed import moved
from tests.prove.run import CLIPPED
from tests.prove.trials import LARGE_N, REFERENCE_N, proven, rows_of
from tests.prove.worlds import world

WORLD, SHIFT = "independent", 0.15


def _truth(name: str, seed: int) -> float:
    """The mean loss of many records of the shifted world, cut as the stream of this seed cuts it."""
    detector, place = proven(name), world(WORLD)
    reference = reference_of(detector, rows_of(detector, REFERENCE_N, 2 * seed, place))
    rows = rows_of(detector, LARGE_N, 10**6 + seed, place, shift=SHIFT)
    return float(detector.step(detector.start(reference), one_input(detector, rows, reference))[1].value)


@pytest.mark.parametrize("n", [pytest.param(3, id="short"), pytest.param(60, id="full", marks=pytest.mark.prove)])
@pytest.mark.parametrize("name", sorted(CLIPPED))
def test_the_interval_holds_the_mean_that_its_own_bound_rows_define(name: str, n: int) -> None:
    found = [moved(name, WORLD, seed) for seed in range(n)]
    truths = [_truth(name, seed) for seed in range(n)]
    missed = sum(not one["low"] <= truth <= one["high"] for one, truth in zip(found, truths, strict=True))
    assert missed <= (0 if n < 10 else 9)  # of 60 at 5 %: P(more) = .0015; their level is stricter
    assert max(truths) - min(truths) > 0.01  # no one value holds for all
