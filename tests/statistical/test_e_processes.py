"""e-processes: the share of streams that EVER cross 1/alpha is at most alpha; a doubled alpha would be seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.registry import build
from detectors.sequential.bets import log_raise, targets_above
from detectors.sequential.gap import log_e_gap
from detectors.sequential.interval import MeanSequence, log_likelihood, log_mixture, upper_share
from detectors.sequential.paired import PairedOutcome, start_paired, step_paired

LOOKS_N, RECORDS_A_LOOK = 334, 15
RECORDS_N = LOOKS_N * RECORDS_A_LOOK

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


def _counts(rng: np.random.Generator, streams: int, share: float) -> NDArray[np.int64]:
    """Hits so far at each look, shape (streams, LOOKS_N)."""
    return np.cumsum(rng.binomial(RECORDS_A_LOOK, share, size=(streams, LOOKS_N)), axis=1)


_N = RECORDS_A_LOOK * np.arange(1, LOOKS_N + 1)


@short_and_full
def test_a_fixed_bet_at_the_boundary_crosses_as_often_as_ville_allows_and_a_doubled_alpha_is_caught(judge: Any, size: int) -> None:
    rng, alpha, mean = np.random.default_rng(1), 0.05, 0.3
    target = np.array(mean + 0.5 * mean * (1 - mean))  # the bet 1 + 0.5 (x - mean)
    n, peaks_of = np.arange(1, RECORDS_N + 1), []
    for _ in range(16 * size):  # a look at every record: nothing of what the bet may do is missed
        hits = np.cumsum(rng.random((250, RECORDS_N)) < mean, axis=1)
        peaks_of.append(log_raise(n, hits, mean, target).max(axis=1))
    peaks = np.concatenate(peaks_of)
    judge.crossings("fixed bet on a share, boundary", peaks >= -math.log(alpha), alpha)
    with pytest.raises(AssertionError, match="streams cross"):
        type(judge)([]).crossings("the same with alpha doubled", peaks >= -math.log(2 * alpha), alpha)


@short_and_full
def test_the_grid_of_stakes_ever_crosses_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha, mean = np.random.default_rng(2), 0.05, 0.1
    crossed = []
    for _ in range(2 * size):
        hits = _counts(rng, 1000, mean)[..., None]
        wealth = np.logaddexp.reduce(log_raise(_N[:, None], hits, mean, targets_above(mean)), axis=-1) - math.log(6)
        crossed.append(wealth.max(axis=1) >= -math.log(alpha))
    judge.crossings("risk: grid of stakes, boundary", np.concatenate(crossed), alpha)


@pytest.mark.parametrize(("mean", "limit"), [(0.3, 0.3), (0.1, 0.1), (0.05, 0.2)])
def test_an_increment_is_worth_at_most_one_in_the_mean(mean: float, limit: float) -> None:
    k = np.arange(RECORDS_A_LOOK + 1)[:, None]
    chances = np.exp([[math.log(math.comb(RECORDS_A_LOOK, int(i))) + float(log_likelihood(i, RECORDS_A_LOOK, mean))] for i in k[:, 0]])
    expected = (chances * np.exp(log_raise(RECORDS_A_LOOK, k, limit, targets_above(limit)))).sum(axis=0)
    assert (expected <= 1.0 + 1e-9).all()
    if mean == limit:
        np.testing.assert_allclose(expected, 1.0, rtol=1e-9)


@short_and_full
def test_risk_with_a_fresh_bound_ever_alarms_in_at_most_alpha_of_the_streams(judge: Any, make: Any, size: int) -> None:
    rng, alpha = np.random.default_rng(3), 0.2
    detector = build("risk", alpha=alpha, delta=0.1, tolerance=0.02)
    runs = []
    for _ in range(12 * size):
        source = make.reference(bound=make.pairs_of(rng, 200, 0.1))
        production = (make.increment(i, pairs=make.pairs_of(rng, RECORDS_A_LOOK, 0.12)) for i in range(LOOKS_N))
        runs.append(make.run_length(detector, source, production))
    judge.crossings("risk (whole detector, fresh bound)", np.array(runs) < LOOKS_N, alpha)


@short_and_full
def test_the_source_bound_fails_in_at_most_delta_of_the_bounds(judge: Any, size: int) -> None:
    errors = np.random.default_rng(4).binomial(200, 0.1, size=5000 * size)
    judge.failures("risk: bound on the source loss", upper_share(errors, 200, 0.05) < 0.1, 0.05)


@short_and_full
def test_a_share_ever_leaves_its_confidence_sequence_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha, share = np.random.default_rng(5), 0.05, 0.2
    hits = np.concatenate([_counts(rng, 1000, share) for _ in range(2 * size)])
    peak = (log_mixture(hits, _N) - log_likelihood(hits, _N, share)).max(axis=1)
    judge.crossings("confidence sequence of a share", peak >= -math.log(alpha), alpha)


@short_and_full
def test_a_mean_ever_leaves_its_confidence_sequence_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha, missed = np.random.default_rng(6), 0.1, []
    for _ in range(25 * size):
        x, sums, outside = rng.beta(1.0, 3.0, size=RECORDS_N), MeanSequence(alpha=alpha), False
        for at in range(0, RECORDS_N, RECORDS_A_LOOK):
            sums = sums.add(x[at : at + RECORDS_A_LOOK])
            low, high = sums.interval()
            outside = outside or not low <= 0.25 <= high
        missed.append(outside)
    judge.crossings("confidence sequence of a mean (watch)", np.array(missed), alpha)


@short_and_full
def test_a_gap_at_its_maximum_ever_alarms_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha, streams = np.random.default_rng(7), 0.1, 300 * size
    base = rng.uniform(0.1, 0.8, size=streams)
    small, large = np.arange(1, LOOKS_N + 1) * 3.0, np.arange(1, LOOKS_N + 1) * 12.0
    a = np.cumsum(rng.binomial(3, (base + 0.1)[:, None], size=(streams, LOOKS_N)), axis=1).astype(np.float64)
    b = np.cumsum(rng.binomial(12, base[:, None], size=(streams, LOOKS_N)), axis=1).astype(np.float64)
    log_e = log_e_gap(a, np.broadcast_to(small, a.shape), b, np.broadcast_to(large, b.shape), 0.1)
    judge.crossings("fairness gap, gap at the maximum", log_e.max(axis=1) >= -math.log(alpha), alpha)


@short_and_full
def test_two_equally_good_versions_are_called_worse_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha = np.random.default_rng(8), 0.1
    called = []
    for _ in range(200 * size):  # so small a margin is never settled first
        d = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.8, 0.1], size=RECORDS_N)
        _, verdict = step_paired(start_paired(), d, alpha=alpha, margin=0.001)
        called.append(verdict.outcome is PairedOutcome.WORSE)
    judge.crossings("watch: equally good called worse", np.array(called), alpha)


@short_and_full
def test_a_version_worse_by_the_margin_is_called_not_worse_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha = np.random.default_rng(9), 0.1
    called = []
    for _ in range(200 * size):
        d = rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.8, 0.15], size=RECORDS_N)
        _, verdict = step_paired(start_paired(), d, alpha=alpha, margin=0.1)
        called.append(verdict.outcome is PairedOutcome.NOT_WORSE)
    judge.crossings("watch: worse by the margin called not worse", np.array(called), alpha)
