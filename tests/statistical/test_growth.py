"""The smallest shift that is said to be seen within a day is seen within it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from detectors.registry import build
from detectors.sequential.growth import smallest_shift

RATES: dict[str, Any] = {"alpha": 1e-5, "delta": 0.01, "reference_n": 2000}


@pytest.mark.parametrize("n", [400, 2000])
def test_the_shift_that_is_expected_within_a_day_is_seen_within_it(make: Any, n: int) -> None:
    shift, rng, panes_n = smallest_shift(**RATES, n=n), np.random.default_rng(41), 40
    seen = 0
    for _ in range(12):
        detector = build("conformal_numeric", column="input.x", alpha=RATES["alpha"], delta=RATES["delta"])
        day = (make.increment(i, x=rng.normal(shift, size=n // panes_n)) for i in range(panes_n))
        seen += make.run_length(detector, make.reference(x=rng.normal(size=2000)), day) < panes_n
    assert seen >= 6, f"a shift of {shift:.2f} was seen within the day in {seen} of 12 streams"


def test_more_records_show_a_smaller_shift_and_too_few_show_none() -> None:
    shifts = [smallest_shift(**RATES, n=n) for n in (5, 100, 1000, 10_000, 100_000)]
    assert math.isinf(shifts[0])
    assert shifts[1:] == sorted(shifts[1:], reverse=True)
    assert len(set(shifts)) == len(shifts)
