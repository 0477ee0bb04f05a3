"""e-processes: the share of streams that EVER cross 1/alpha is at most alpha; a doubled alpha would be seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.registry import build
from detectors.sequential.bets import log_raise, targets_above
from detectors.sequential.gap import curves, log_e_gap, steps_of
from detectors.sequential.interval import MeanSequence, log_likelihood, log_mixture, upper_share
from detectors.sequential.mean_bets import CELLS_N, EDGES, log_above, log_below, mean_interval, sums_of
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
@pytest.mark.parametrize("world", ["rates", "means", "weights"])
def test_a_gap_at_its_maximum_ever_alarms_in_at_most_alpha_of_the_streams(judge: Any, world: str, size: int) -> None:
    rng, alpha, streams, gap, mean = np.random.default_rng(7), 0.1, 200 * size, 0.1, 0.4
    small, large = (_gap_sums(rng, world, np.full((streams, 1), m), n) for m, n in ((mean + gap, 1000), (mean, 4000)))
    looks = np.arange(2, 1000, 3)  # of five pairs one is of the smaller group
    truth = [np.full(2, m) for m in (mean + gap, mean)]  # the e-value at the true mean: never less than the detector's, its least of all
    log_e = (log_above(small[:, looks], truth[0]) + log_below(large[:, 4 * looks], truth[1]))[..., 0]
    judge.crossings(f"gap between groups at the maximum, {world}", log_e.max(axis=1) >= -math.log(alpha), alpha)
    least = np.stack([log_e_gap(curves(small[:9, i]).above, curves(large[:9, 4 * i]).below, steps_of(gap)) for i in looks[::40]], axis=1)
    assert (least <= log_e[:9, ::40] + 1e-9).all()


def _gap_sums(rng: np.random.Generator, world: str, mean: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Running sums of each stream, (streams, n, 6). In the world of weights half of the 0s, and all 1s, were kept: the weights say so."""
    x = rng.beta(4.0 * mean, 4.0 * (1.0 - mean), (len(mean), n)) if world == "means" else (rng.random((len(mean), n)) < mean).astype(float)
    w = np.ones_like(x)
    if world == "weights":
        kept = mean / (mean + 0.5 * (1.0 - mean))  # the share of 1s among those that were kept
        x = (rng.random((len(mean), n)) < kept).astype(float)
        w = np.where(x == 1.0, 0.5, 1.0)
    return np.stack([np.cumsum(part, axis=1) for part in (np.ones_like(x), w, w * w, w * x, w * w * x, w * w * x * x)], axis=-1)


@short_and_full
def test_a_confidence_sequence_from_sums_ever_misses_the_mean_in_at_most_alpha_of_the_streams(judge: Any, size: int) -> None:
    rng, alpha = np.random.default_rng(10), 0.1
    sums = _gap_sums(rng, "means", np.full((80 * size, 1), 0.3), 2000)
    looks = np.unique(np.geomspace(5, 2000, 12).astype(int)) - 1
    bets = zip(log_above(sums[:, looks], EDGES).reshape(-1, CELLS_N), log_below(sums[:, looks], EDGES).reshape(-1, CELLS_N), strict=True)
    ends = np.array([mean_interval(*both, alpha) for both in bets]).reshape(-1, len(looks), 2)
    judge.crossings("confidence sequence of a mean from sums", ((ends[..., 0] > 0.3) | (ends[..., 1] < 0.3)).any(axis=1), alpha)
    assert (ends[:, -1, 1] - ends[:, -1, 0]).max() < 0.08


def test_an_increment_of_weighted_values_is_worth_at_most_one_in_the_mean_and_about_one_for_small_stakes() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        x, w, chance = rng.beta(0.5, 0.5, 30), rng.uniform(0.01, 1.0, 30), rng.dirichlet(np.full(30, 0.3))
        mean = np.full(2, (chance * w) @ x / (chance @ w))
        sums = np.stack([sums_of(a[None, None], b[None])[0] for a, b in zip(x, w, strict=True)])
        for bet in (log_above, log_below):
            worth = float(chance @ np.exp(bet(sums, mean)[:, 0]))
            assert 0.8 < worth <= 1.0 + 1e-12


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
