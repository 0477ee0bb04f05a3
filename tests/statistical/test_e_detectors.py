"""e-detectors: the mean number of panes to the first false alarm is at least (1 - delta)/alpha; their bounds hold with 1 - delta."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from detectors.registry import build
from detectors.sequential.bets import NOTHING, STAKES, log_raise, restart, targets_above
from detectors.sequential.ranks import log_rank_bets, reference_radius
from detectors.sequential.text_features import Texts, hash_texts
from detectors.sequential.witness import witness_hits

LOOKS_N, RECORDS_A_LOOK = 334, 15

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


def _run_lengths(rng: np.random.Generator, streams: int, mean: float, targets: Any, alpha: float) -> np.ndarray[Any, Any]:
    """Panes to the first crossing of the restarted mean over `targets`, with the conditional mean at the limit; LOOKS_N when none."""
    log_m = np.full((streams, len(targets)), NOTHING)
    runs = np.full(streams, float(LOOKS_N))
    for look in range(LOOKS_N):
        hits = rng.binomial(RECORDS_A_LOOK, mean, size=(streams, 1))
        log_m = restart(log_m.ravel(), log_raise(RECORDS_A_LOOK, hits, mean, targets).ravel(), alpha=1e-9).reshape(log_m.shape)
        reached = np.logaddexp.reduce(log_m, axis=1) - math.log(len(targets)) >= -math.log(alpha)
        runs = np.where(reached & (runs == LOOKS_N), look + 1.0, runs)
    return runs


@short_and_full
def test_one_restarted_bet_at_the_boundary_runs_as_long_as_promised_and_a_doubled_alpha_is_caught(judge: Any, size: int) -> None:
    targets = np.array([0.32])
    judge.run_lengths("restarted bet, boundary", _run_lengths(np.random.default_rng(11), 1500 * size, 0.3, targets, 1 / 40), 40.0)
    doubled = _run_lengths(np.random.default_rng(12), 1500 * size, 0.3, targets, 1 / 20)
    with pytest.raises(AssertionError, match="promised"):
        type(judge)([]).run_lengths("the same with alpha doubled", doubled, 40.0)


@short_and_full
def test_the_restarted_grid_of_stakes_runs_as_long_as_promised(judge: Any, size: int) -> None:
    runs = _run_lengths(np.random.default_rng(13), 1000 * size, 0.1, targets_above(0.1), 1 / 40)
    judge.run_lengths("risk and floors: restarted grid, boundary", runs, 40.0)
    assert len(STAKES) == len(targets_above(0.1))


@short_and_full
def test_rank_bets_of_a_fresh_reference_are_worth_more_than_one_in_at_most_delta_of_the_references(judge: Any, size: int) -> None:
    rng, n, delta = np.random.default_rng(14), 200, 0.1
    grid = (np.arange(4000) + 0.5) / 4000
    failed = []
    for _ in range(150 * size):
        ranks = np.searchsorted(np.sort(rng.random(n)), grid) / n  # the true distribution is uniform
        bets = np.array([np.exp(log_rank_bets(u[None], reference_radius(n, delta))) for u in ranks[::20]])
        failed.append(bool((bets.mean(axis=0) > 1.0).any()))
    judge.failures("conformal: rank bets on a reference of 200", np.array(failed), delta)


@pytest.mark.parametrize("radius", [0.01, 0.07, 0.2])
def test_rank_bets_are_worth_at_most_one_for_the_worst_reference_within_the_radius(radius: float) -> None:
    v = (np.arange(2000) + 0.5) / 2000
    outward, inward = np.where(v > 0.5, 1.0, -1.0), np.where(v > 0.5, -1.0, 1.0)
    worst = [np.clip(v + side * radius, 0.0, 1.0) for side in (1.0, -1.0, outward)]
    worst.append(np.where(np.abs(v - 0.5) < radius, 0.5, v + inward * radius))
    for u in worst:
        means = np.mean([np.exp(log_rank_bets(x[None], radius)) for x in u], axis=0)
        assert (means <= 1.0 + 1e-6).all()


@short_and_full
@pytest.mark.parametrize("name", ["conformal_numeric", "conformal_category"])
def test_a_column_like_its_reference_runs_as_long_as_promised(judge: Any, make: Any, name: str, size: int) -> None:
    rng, alpha = np.random.default_rng(15), 1 / 50
    detector = build(name, column="input.x", alpha=alpha, delta=0.05)

    def draw(n: int) -> Any:
        if name == "conformal_numeric":
            return np.where(rng.random(n) < 0.1, np.nan, np.round(rng.gamma(2.0, size=n), 1))  # ties and missing values
        return rng.choice(["a", "b", "c", "d"], p=[0.5, 0.3, 0.15, 0.05], size=n).tolist()

    runs = [
        make.run_length(detector, make.reference(x=draw(300)), (make.increment(i, x=draw(RECORDS_A_LOOK)) for i in range(LOOKS_N)))
        for _ in range(8 * size)
    ]
    judge.run_lengths(f"{name} (whole detector, fresh reference)", np.array(runs), 0.95 / alpha)


@short_and_full
@pytest.mark.parametrize("name", ["risk_change", "accuracy_floor", "f1_floor"])
def test_a_model_at_its_bound_runs_as_long_as_promised(judge: Any, make: Any, name: str, size: int) -> None:
    rng, alpha = np.random.default_rng(16), 1 / 25
    settings: dict[str, Any] = {"risk_change": {"tolerance": 0.02}, "accuracy_floor": {"max_drop": 0.02}, "f1_floor": {"minimum": 0.8}}[
        name
    ]
    label = {"label": "positive"} if name == "f1_floor" else {}
    error = {"risk_change": 0.12, "accuracy_floor": 0.12, "f1_floor": 0.2}[name]
    detector = build(name, alpha=alpha, delta=0.05, **settings, **label)
    runs = []
    for _ in range(10 * size):
        source = make.reference(bound=make.pairs_of(rng, 200, 0.1))
        runs.append(
            make.run_length(detector, source, (make.increment(i, pairs=make.pairs_of(rng, RECORDS_A_LOOK, error)) for i in range(LOOKS_N)))
        )
    judge.run_lengths(f"{name} (whole detector)", np.array(runs), 0.95 / alpha)


def _sentences(rng: np.random.Generator, n: int, words: int = 400) -> list[str]:
    """Sentences of words with falling frequencies."""
    share = 1.0 / np.arange(1, words + 1)
    return [" ".join(f"w{w}" for w in rng.choice(words, size=rng.integers(4, 14), p=share / share.sum())) for _ in range(n)]


@short_and_full
def test_a_witness_hits_the_reference_more_often_than_its_bound_in_at_most_delta_of_the_learnings(judge: Any, size: int) -> None:
    rng, delta, failed = np.random.default_rng(17), 0.2, []
    fresh = hash_texts(_sentences(rng, 4000))
    for _ in range(10 * size):
        learn, hold, pool = (hash_texts(_sentences(rng, n)) for n in (60, 60, 80))
        found = witness_hits(learn=learn, pool=pool, hold=hold, new=fresh, delta=delta)
        failed.append(bool((found.hits / fresh.n > found.bound).any()))
    judge.failures("text: a witness's bound on the reference", np.array(failed), delta)
    assert isinstance(fresh, Texts)


@pytest.mark.prove
def test_texts_like_their_reference_run_as_long_as_promised(judge: Any, make: Any) -> None:
    rng, alpha = np.random.default_rng(18), 1 / 50
    detector = build("text_witness", column="input.text", alpha=alpha, delta=0.05)
    runs = []
    for _ in range(8):
        texts = make.reference(text=_sentences(rng, 300))
        runs.append(make.run_length(detector, texts, (make.increment(i, text=_sentences(rng, RECORDS_A_LOOK)) for i in range(LOOKS_N))))
    judge.run_lengths("text_witness (whole detector, fresh reference)", np.array(runs), 0.95 / alpha)


def test_texts_like_their_reference_raise_no_alarm_in_a_short_stream(make: Any) -> None:
    rng = np.random.default_rng(19)
    detector = build("text_witness", column="input.text", alpha=1e-6, delta=0.01)
    assert (
        make.run_length(
            detector, make.reference(text=_sentences(rng, 300)), (make.increment(i, text=_sentences(rng, 40)) for i in range(25))
        )
        == 25
    )


def _rows(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Two numbers that rise together, one with ties and missing values, and a category."""
    a = rng.normal(size=n)
    ties = np.where(rng.random(n) < 0.1, np.nan, rng.poisson(2.0, n).astype(np.float64))
    return {"a": a, "b": a + rng.normal(size=n), "c": ties, "d": rng.choice(["x", "y", "z"], p=[0.7, 0.2, 0.1], size=n).tolist()}


@pytest.mark.prove
def test_rows_like_their_reference_run_as_long_as_promised(judge: Any, make: Any) -> None:
    rng, alpha = np.random.default_rng(20), 1 / 50
    detector = build("domain_classifier", columns=tuple(f"input.{c}" for c in "abcd"), alpha=alpha, delta=0.05)
    runs = []
    for _ in range(12):
        known = make.reference(**_rows(rng, 400))
        runs.append(make.run_length(detector, known, (make.increment(i, **_rows(rng, RECORDS_A_LOOK)) for i in range(LOOKS_N))))
    judge.run_lengths("domain_classifier (whole detector, fresh reference)", np.array(runs), 0.95 / alpha)


@pytest.mark.prove
def test_vectors_like_their_reference_run_as_long_as_promised(judge: Any, make: Any) -> None:
    rng, alpha = np.random.default_rng(21), 1 / 50
    detector = build("embedding_witness", column="input.v", alpha=alpha, delta=0.05)
    runs = []
    for _ in range(12):
        known = make.reference(v=rng.normal(1.0, size=(400, 16)))
        panes = (make.increment(i, v=rng.normal(1.0, size=(RECORDS_A_LOOK, 16))) for i in range(LOOKS_N))
        runs.append(make.run_length(detector, known, panes))
    judge.run_lengths("embedding_witness (whole detector, fresh reference)", np.array(runs), 0.95 / alpha)
