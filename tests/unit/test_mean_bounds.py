"""The confidence sequence of a bounded mean that three sums tell: its level, its use of the variance, and where it ends."""

from __future__ import annotations

import numpy as np

from detectors.sequential.interval import share_sequence
from detectors.sequential.mean_bounds import is_mean_below, mean_bounds


def test_the_mean_is_ever_outside_in_at_most_alpha_of_the_streams() -> None:
    rng, streams, ever = np.random.default_rng(0), 120, 0
    for _ in range(streams):
        x = rng.beta(1.0, 4.0, 1500)  # mean .2
        sums, squares = np.cumsum(x), np.cumsum(x * x)
        found = [mean_bounds(n, float(sums[n - 1]), float(squares[n - 1]), 0.05) for n in (10, 30, 100, 300, 700, 1500)]
        ever += any(not low <= 0.2 <= high for low, high in found)
    assert ever <= 18  # P(Binomial(120, .05) > 18) < 1e-5


def test_it_is_far_narrower_than_that_of_a_share_where_the_spread_is_small_and_hardly_wider_for_errors() -> None:
    low, high = mean_bounds(400, 80.0, 17.0, 0.01)  # mean .2, variance .0025
    share_low, share_high = share_sequence(80.0, 400, 0.01)
    assert low < 0.2 < high
    assert high - low < 0.4 * (share_high - share_low)
    _, high = mean_bounds(400, 20.0, 20.0, 0.01)
    assert high - 0.05 < 1.15 * (share_sequence(20.0, 400, 0.01)[1] - 0.05)


def test_whether_it_ends_below_a_limit_is_told_without_its_end() -> None:
    for total, squares in ((80.0, 17.0), (20.0, 20.0), (8.0, 3.0)):
        high = mean_bounds(400, total, squares, 0.01)[1]
        assert is_mean_below(400, total, squares, high + 1e-6, 0.01)
        assert not is_mean_below(400, total, squares, high - 1e-6, 0.01)
    assert not is_mean_below(0, 0.0, 0.0, 0.5, 0.01)


def test_the_ends_are_within_zero_and_one_and_nothing_is_known_without_data() -> None:
    assert mean_bounds(0, 0.0, 0.0, 0.01) == (0.0, 1.0)
    assert mean_bounds(50, 0.0, 0.0, 0.01)[0] == 0.0
    assert mean_bounds(50, 50.0, 50.0, 0.01)[1] == 1.0
    lefts, rights = mean_bounds(300, 60.0, 20.0, 0.01), mean_bounds(300, 240.0, 200.0, 0.01)
    np.testing.assert_allclose(lefts, [1.0 - rights[1], 1.0 - rights[0]], atol=1e-6)
