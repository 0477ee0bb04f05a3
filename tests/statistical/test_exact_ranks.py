"""Ranks in the urn are uniform and independent of the past, exactly, and the bets on them are worth at most one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors.sequential.category_shares import log_share_bets, share_weights, targets_of, times_weights
from detectors.sequential.scores import SCORE_WEIGHTS, log_score_bets
from detectors.sequential.shapes import log_shape_bets, no_shapes
from detectors.sequential.urn import cells_of, fixed_ranks, knots_of, urn_hits, urn_ranks

_WORLDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy ties": lambda rng, n: rng.integers(0, 4, n).astype(float),
    "half missing": lambda rng, n: np.where(rng.random(n) < 0.5, -np.inf, rng.normal(size=n)),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
}


def _ranks(rng: np.random.Generator, draw: Any, reference_n: int, n: int) -> np.ndarray[Any, Any]:
    knots = knots_of(draw(rng, reference_n))
    return urn_ranks(knots.gaps, cells_of(knots.values, knots.keys, draw(rng, n), rng.random(n)), rng.random(n))[0]


@pytest.mark.parametrize("world", sorted(_WORLDS))
@pytest.mark.parametrize("reference_n", [5, 40, 800])
def test_ranks_are_uniform_and_know_nothing_of_those_before(world: str, reference_n: int) -> None:
    rng = np.random.default_rng(1)
    streams = np.array([_ranks(rng, _WORLDS[world], reference_n, 12) for _ in range(600)])  # a fresh reference for each
    assert stats.kstest(streams.ravel(), "uniform").pvalue > 1e-4
    for at in (0, 11):
        assert stats.kstest(streams[:, at], "uniform").pvalue > 1e-4
    pairs = np.corrcoef(streams.T)[np.triu_indices(12, 1)]
    assert np.abs(pairs).max() < 5.0 / np.sqrt(600)  # 66 correlations of independent ranks: beyond 5 sd 4e-5


def test_a_fixed_reference_is_not_exact_where_the_urn_is() -> None:
    """What the urn is for: the mean rank of a stream keeps the error of its reference."""
    rng, fixed, exact = np.random.default_rng(2), [], []
    for _ in range(100):
        knots = knots_of(rng.normal(size=100))
        cells = cells_of(knots.values, knots.keys, rng.normal(size=3000), rng.random(3000))
        fixed.append(fixed_ranks(knots.gaps, cells, rng.random(3000)).mean())
        exact.append(urn_ranks(knots.gaps, cells, rng.random(3000))[0].mean())
    assert np.std(exact) < 1.2 * np.sqrt(1 / 12 / 3000) < 0.25 * np.std(fixed)


def test_the_urn_takes_panes_of_any_size_alike() -> None:
    rng = np.random.default_rng(3)
    knots = knots_of(rng.normal(size=300))
    cells, uniforms = cells_of(knots.values, knots.keys, rng.normal(size=1000), rng.random(1000)), rng.random(1000)
    whole, after = urn_ranks(knots.gaps, cells, uniforms)
    weights, parts = knots.gaps, []
    for start, end in ((0, 1), (1, 130), (130, 131), (131, 1000)):
        ranks, weights = urn_ranks(weights, cells[start:end], uniforms[start:end])
        parts.append(ranks)
    assert np.allclose(np.concatenate(parts), whole, atol=1e-12)
    assert np.array_equal(weights, after)
    assert after.sum() == 301 + 1000


def test_bets_on_a_uniform_rank_are_worth_at_most_one_and_nearly_one() -> None:
    z = np.arange(-6.0, 6.0, 0.01) + 0.005
    weights = stats.norm.pdf(z) * 0.01
    means = sum(w * np.exp(log_score_bets(np.array([u]))) for w, u in zip(weights, stats.norm.cdf(z), strict=True))
    assert means.max() < 1.01
    assert means.min() > 0.99
    assert SCORE_WEIGHTS.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("past", [[], [0.05] * 40, [0.05, 0.15, 0.15, 0.95] * 300], ids=["none", "one bin", "more than any memory"])
def test_bets_on_the_shape_of_a_pane_are_worth_one_whatever_came_before(past: list[float]) -> None:
    """All panes of three records, by the bins that they fall into."""
    known = log_shape_bets(np.array(past), no_shapes())[1] if past else no_shapes()
    bins = (np.arange(10) + 0.5) / 10
    panes = np.stack(np.meshgrid(bins, bins, bins), axis=-1).reshape(-1, 3)
    worth = np.array([np.exp(log_shape_bets(pane, known)[0]) for pane in panes])
    assert np.allclose(worth.mean(axis=0), 1.0)
    assert worth.std(axis=0).min() > 0.1


def test_what_shapes_remember_is_of_the_latest_records() -> None:
    known = no_shapes()
    for rank in [0.05] * 20 + [0.95] * 20:
        known = log_shape_bets(np.full(100, rank), known)[1]
    assert known.sum(axis=1).tolist() == pytest.approx([0.0, 100.0, 1000.0])
    assert known[1, 9] > 0.99 * 100.0
    assert 0.7 * 1000.0 < known[2, 9] < 0.95 * 1000.0


def test_bets_on_a_share_are_worth_one_at_its_chance_and_less_inside_its_bounds() -> None:
    chances = np.array([0.001, 0.05, 0.5, 0.999])
    hit, miss = (np.exp(log_share_bets(np.full(4, k), 1, chances, chances)).reshape(2, 4, -1) for k in (1.0, 0.0))
    assert np.allclose(chances[:, None] * hit + (1.0 - chances[:, None]) * miss, 1.0)
    low, high = 0.8 * chances, np.minimum(1.0, 1.2 * chances)
    hit, miss = (np.exp(log_share_bets(np.full(4, k), 1, low, high)).reshape(2, 4, -1) for k in (1.0, 0.0))
    assert (chances[:, None] * hit + (1.0 - chances[:, None]) * miss <= 1.0 + 1e-12).all()
    assert share_weights(chances).sum() == pytest.approx(1.0)
    assert share_weights(chances).shape == hit.ravel().shape


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.15, 0.5, 0.9, 1.0])
def test_most_of_a_shares_stake_is_on_the_bet_that_gains_a_fiftieth_of_a_nat_a_record(share: float) -> None:
    chance = min(max(share, 1e-6), 1.0 - 1e-6)
    gains = np.array([stats.entropy([q, 1.0 - q], [chance, 1.0 - chance]) for q in targets_of(chance)])
    weights = times_weights(share)
    assert weights.sum() == pytest.approx(1.0)
    assert np.argmax(weights) == np.argmin(np.abs(np.log(gains / 0.02)))
    assert weights.min() > 1.0 / 60.0  # a bet that is told to be worth little costs four nats at most


def test_most_of_the_tails_stake_is_on_what_gains_a_fiftieth_of_a_nat_a_record() -> None:
    masses, times = np.repeat([0.02, 0.05, 0.1], 3), np.tile([1.3, 2.0, 3.5], 3)
    gains = np.array([stats.entropy([q, 1.0 - q], [p, 1.0 - p]) for p, q in zip(masses, masses * times, strict=True)])
    lower, upper, both = SCORE_WEIGHTS[-27:].reshape(3, 9)
    assert np.array_equal(np.argsort(-lower), np.argsort(np.abs(np.log(gains / 0.02))))
    assert np.array_equal(lower, upper)
    assert np.array_equal(lower, both)
    assert SCORE_WEIGHTS[-27:].sum() == pytest.approx(0.2)


def test_hits_of_a_cell_are_binomial_and_know_nothing_of_those_before() -> None:
    rng, shares = np.random.default_rng(4), np.array([0.6, 0.3, 0.1, 0.0])
    watched, chances = np.array([0, 2, 3]), np.array([0.55, 0.12, 0.02])
    hits = np.zeros((2, 4000, 3))
    for at in range(hits.shape[1]):
        weights = np.bincount(rng.choice(4, 20, p=shares), minlength=4).astype(np.float64)
        for pane in range(2):
            cells = rng.choice(4, 30, p=shares)
            hits[pane, at] = urn_hits(weights, cells, rng.random(30), watched, chances)
            weights = weights + np.bincount(cells, minlength=4)
    z = (hits - 30 * chances) / np.sqrt(30 * chances * (1 - chances))
    assert np.abs(z.mean(axis=1)).max() < 5.0 / np.sqrt(4000)
    assert np.abs(z.std(axis=1) - 1.0).max() < 0.1
    assert max(abs(np.corrcoef(z[0, :, cell], z[1, :, cell])[0, 1]) for cell in range(3)) < 5.0 / np.sqrt(4000)
