"""A rise of the loss by exact ranks: it runs as long as promised with many bound rows, few and none, whatever the ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors.registry import build
from detectors.sequential import loss_ranks
from detectors.sequential.bets import is_reached
from detectors.sequential.loss import Loss
from detectors.sequential.loss_cells import cell_values, cells_of
from detectors.sequential.rise_bets import RISE_WEIGHTS, log_rise_bets
from detectors.sequential.urn import urn_ranks
from detectors.types import Pairs

Rng = np.random.Generator
LOOKS_N, PANE_N = 334, 15
ALPHA = 1 / 25
_T = datetime(2026, 1, 1, tzinfo=UTC)

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


def _errors(share: float) -> Callable[[Rng, int], Pairs]:
    def draw(rng: Rng, n: int) -> Pairs:
        label = np.full(n, "a", dtype=object)
        return Pairs(predicted=np.where(rng.random(n) < share, "b", "a").astype(object), label=label)

    return draw


def _off(draw: Callable[[Rng, int], Any]) -> Callable[[Rng, int], Pairs]:
    def found(rng: Rng, n: int) -> Pairs:
        none = np.full(n, None, dtype=object)
        return Pairs(predicted=none, label=none, value=np.zeros(n), predicted_value=draw(rng, n))

    return found


WORLDS: dict[str, tuple[str, Callable[[Rng, int], Pairs]]] = {
    "errors": ("risk_rise", _errors(0.24)),
    "rare errors": ("risk_rise", _errors(0.01)),
    "all right": ("risk_rise", _errors(0.0)),
    "all losses equal": ("risk_value_rise", _off(lambda _, n: np.full(n, 3.0))),
    "losses of four values": ("risk_value_rise", _off(lambda rng, n: rng.integers(0, 4, n).astype(np.float64))),
    "losses without a mean": ("risk_value_rise", _off(lambda rng, n: rng.standard_cauchy(n))),
}


def _loss(name: str) -> Loss:
    detector: Any = build(name, alpha=ALPHA)
    found: Loss = detector.loss
    return found


def _run(rng: Rng, name: str, draw: Callable[[Rng, int], Pairs], bound_n: int, *, panes_n: int = LOOKS_N, alpha: float = ALPHA) -> float:
    """Panes until the evidence comes to 1/alpha, whether or not the alarm is held back; or all."""
    loss = _loss(name)
    state = loss_ranks.start_rise(draw(rng, bound_n), loss)
    for i in range(panes_n):
        start = _T + timedelta(seconds=int(rng.integers(1 << 30)))
        state = loss_ranks.step_rise(state, draw(rng, PANE_N), loss, start=start, alpha=alpha, most_weight=1.0, of="risk")
        if is_reached(state.log10_e, alpha):
            return i + 1.0
    return float(panes_n)


@short_and_full
@pytest.mark.parametrize("bound_n", [0, 20, 400])
@pytest.mark.parametrize("world", [*WORLDS])
def test_exchangeable_losses_run_as_long_as_promised(judge: Any, world: str, bound_n: int, size: int) -> None:
    rng = np.random.default_rng([31, bound_n])
    runs = np.array([_run(rng, *WORLDS[world], bound_n) for _ in range(6 * size)])
    judge.run_lengths(f"{WORLDS[world][0]}, {world}, {bound_n} bound rows", runs, 1 / ALPHA)


def test_ranks_among_the_bound_rows_alone_are_caught(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that the urn avoids: 20 bound rows, with few errors by chance, as the reference for good."""

    def alone(weights: Any, cells: Any, uniforms: Any, *, own: float) -> Any:
        return np.array([urn_ranks(weights, cells[[i]], uniforms[[i]], own=own)[0][0] for i in range(len(cells))]), weights

    monkeypatch.setattr(loss_ranks, "urn_ranks", alone)
    rng = np.random.default_rng(32)
    runs = np.array([_run(rng, *WORLDS["errors"], 20, panes_n=60, alpha=1e-4) for _ in range(60)])
    with pytest.raises(AssertionError, match="streams cross"):
        type(judge)([]).crossings("ranks among 20 bound rows alone", runs < 60, 60 * 1e-4)


@pytest.mark.parametrize("world", [*WORLDS])
@pytest.mark.parametrize("bound_n", [0, 20, 400])
def test_ranks_are_uniform_and_know_nothing_of_those_before(world: str, bound_n: int) -> None:
    rng, (name, draw) = np.random.default_rng(33), WORLDS[world]
    loss = _loss(name)
    values, streams = cell_values(loss), []
    for _ in range(600):
        counts = np.bincount(cells_of(values, loss.of(draw(rng, bound_n), ())), minlength=len(values)).astype(np.float64)
        streams.append(urn_ranks(counts, cells_of(values, loss.of(draw(rng, 12), ())), rng.random(12), own=1.0)[0])
    found: Any = np.array(streams)
    for part in (found.ravel(), found[:, 0], found[:, 11]):
        assert stats.kstest(part, "uniform").pvalue > 1e-4
    pairs = np.corrcoef(found.T)[np.triu_indices(12, 1)]
    assert np.abs(pairs).max() < 5.0 / np.sqrt(600)  # 66 correlations of independent ranks: beyond 5 sd 4e-5


def test_a_bet_on_a_uniform_rank_is_worth_at_most_one_and_nearly_one() -> None:
    z = np.arange(-6.0, 6.0, 0.01) + 0.005
    weights = stats.norm.pdf(z) * 0.01
    means: Any = weights @ np.exp(log_rise_bets(stats.norm.cdf(z)))
    assert means.max() < 1.01
    assert means.min() > 0.97  # the masses' edges lie between two points of the grid
    assert RISE_WEIGHTS.sum() == pytest.approx(1.0)
    assert len(RISE_WEIGHTS) == len(means)


@pytest.mark.parametrize("bound_n", [50, 200, 1000])
def test_a_rise_of_two_tenths_is_found_after_a_thousand_quiet_labels(judge: Any, make: Any, bound_n: int) -> None:
    rng, delays = np.random.default_rng(34), []
    detector = build("risk_rise", alpha=4.6e-6)
    for _ in range(10):
        quiet = (_errors(0.24)(rng, 10) for _ in range(100))
        worse = (_errors(0.44)(rng, 10) for _ in range(200))
        news = (replace(make.increment(i), pairs=one) for i, one in enumerate([*quiet, *worse]))
        delays.append(10.0 * make.run_length(detector, make.reference(bound=_errors(0.24)(rng, bound_n)), news) - 1000.0)
    assert min(delays) > 0.0
    judge.delays(f"risk_rise, .24 to .44, {bound_n} bound rows", np.array(delays), 1000.0)
