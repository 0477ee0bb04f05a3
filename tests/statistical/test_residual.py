"""Residuals with their sign: quiet ones run as long as promised whatever their ties, tails, plan and lateness; intervals hold the move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pytest

from detectors.registry import build
from detectors.sequential import conformal_residual
from detectors.sequential.bets import is_reached
from detectors.sequential.residuals import SUMS_N, Reach
from detectors.types import Increment, Pairs, Reference

Rng = np.random.Generator
LOOKS_N, PANE_N = 334, 15
ALPHA, DELTA = 1 / 25, 0.05
_T = datetime(2026, 1, 1, tzinfo=UTC)

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


class Quiet(NamedTuple):
    """How residuals are, and which of them are labelled when."""

    draw: Callable[[Rng, int], Any]
    chance: Callable[[Any], Any] | None = None
    """Of a label, by the residual."""
    is_late: bool = False
    """Labels of ten panes come together, in any order."""


WORLDS = {
    "errors of Student's t, 5 degrees": Quiet(lambda rng, n: rng.standard_t(5.0, n)),
    "errors to one side": Quiet(lambda rng, n: 3.0 + rng.exponential(size=n)),
    "errors of five values": Quiet(lambda rng, n: rng.integers(-2, 3, n) / 10.0),
    "always right": Quiet(lambda _, n: np.zeros(n)),
    "right in nine of ten": Quiet(lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.normal(size=n))),
    "errors without a mean": Quiet(lambda rng, n: rng.standard_cauchy(n)),
    "labels that are planned by the error": Quiet(lambda rng, n: rng.normal(size=n), lambda by: np.where(by < 0.0, 0.9, 0.3)),
    "labels that come late": Quiet(lambda rng, n: rng.standard_t(5.0, n), is_late=True),
}


def _pairs(by: Any, weight: Any = None) -> Pairs:
    none = np.full(len(by), None, dtype=object)
    return Pairs(predicted=none, label=none, value=np.full(len(by), 7.0), predicted_value=7.0 + by, weight=weight)


def _panes(rng: Rng, quiet: Quiet, panes_n: int) -> list[Pairs]:
    found = []
    for i in range(panes_n):
        if quiet.is_late:
            late = quiet.draw(rng, 10 * PANE_N * (i % 10 == 9))
            found.append(_pairs(rng.permutation(late)))
            continue
        by = quiet.draw(rng, PANE_N)
        chance = np.ones(PANE_N) if quiet.chance is None else quiet.chance(by)
        kept = rng.random(PANE_N) < chance
        found.append(_pairs(by[kept], None if quiet.chance is None else 1.0 / chance[kept]))
    return found


def _run(rng: Rng, quiet: Quiet, bound_n: int, *, panes_n: int = LOOKS_N, alpha: float = ALPHA, **settings: Any) -> float:
    """Panes with labels until the evidence comes to 1/alpha, whether or not the alarm is held back; or all."""
    detector: Any = build("conformal_residual", alpha=alpha, delta=DELTA, **settings)
    reference = Reference(columns={}, kinds={}, sketches={}, bound=_pairs(quiet.draw(rng, bound_n)), digest="0")
    state, counted_n = detector.start(reference), 0
    for pairs in _panes(rng, quiet, panes_n):
        start = _T + timedelta(seconds=int(rng.integers(1 << 30)))
        state, verdict = detector.step(state, Increment(start=start, end=start, columns={}, pairs=pairs, n=pairs.n))
        counted_n += pairs.n > 0
        if is_reached(verdict.evidence.log10_e, alpha):
            return float(counted_n)
    return float(counted_n)


@short_and_full
@pytest.mark.parametrize("bound_n", [20, 400])
@pytest.mark.parametrize("world", [*WORLDS])
def test_quiet_residuals_run_as_long_as_promised(judge: Any, world: str, bound_n: int, size: int) -> None:
    rng, quiet = np.random.default_rng([41, bound_n]), WORLDS[world]
    panes_n = LOOKS_N * (10 if quiet.is_late else 1)
    settings = {} if quiet.chance is None else {"most_weight": 1.0 / 0.3}
    runs = np.array([_run(rng, quiet, bound_n, panes_n=panes_n, **settings) for _ in range(6 * size)])
    judge.run_lengths(f"conformal_residual, {world}, {bound_n} bound rows", runs, (1.0 - DELTA) / ALPHA)


def test_a_plan_that_is_not_made_up_for_is_caught(judge: Any) -> None:
    """Errors to one side are labelled oftener: without thinning that is a bias."""
    rng, quiet = np.random.default_rng(42), WORLDS["labels that are planned by the error"]
    runs = np.array([_run(rng, quiet, 400, panes_n=60, alpha=1e-4) for _ in range(30)])  # all weigh as the heaviest
    with pytest.raises(AssertionError, match="streams cross"):
        type(judge)([]).crossings("a plan, not thinned", runs < 55, 60 * 1e-4 + DELTA)


def test_a_pane_that_counts_twice_is_caught(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that is counted with its record's pane and again with its own: ranks know it already."""
    whole = conformal_residual.residuals
    monkeypatch.setattr(conformal_residual, "residuals", lambda pairs: np.repeat(whole(pairs), 4) if pairs.n == PANE_N else whole(pairs))
    rng, quiet = np.random.default_rng(43), WORLDS["errors to one side"]
    runs = np.array([_run(rng, quiet, 400, panes_n=60, alpha=1e-3) for _ in range(30)])
    with pytest.raises(AssertionError, match="streams cross"):
        type(judge)([]).crossings("every label four times", runs < 60, 60 * 1e-3 + DELTA)


@short_and_full
@pytest.mark.parametrize("moved", [0.0, 0.5])
@pytest.mark.parametrize("world", ["errors of Student's t, 5 degrees", "errors to one side", "right in nine of ten"])
def test_the_interval_of_the_move_holds_at_all_looks_together(judge: Any, world: str, moved: float, size: int) -> None:
    """From 40 records on; bound rows as many as are recommended."""
    rng, draw, missed = np.random.default_rng(44), WORLDS[world].draw, []
    for _ in range(100 * size):
        bound = draw(rng, 200)
        reach = Reach.of(bound)
        before, latest, is_missed = reach.sums(bound), np.zeros(SUMS_N), False
        for _ in range(25):
            latest += reach.sums(draw(rng, 40) + moved)
            found = reach.moved(latest, before)
            is_missed |= not found.low <= moved <= found.high
        missed.append(is_missed)
    judge.failures(f"conformal_residual, interval, {world}, moved by {moved:g}", np.array(missed), 0.05)


@pytest.mark.parametrize("by", [0.6, -0.6])
@pytest.mark.parametrize("bound_n", [100, 500])
def test_a_bias_of_six_tenths_of_the_scale_is_found_in_few_labels(judge: Any, make: Any, by: float, bound_n: int) -> None:
    rng, draw, delays = np.random.default_rng(45), WORLDS["errors of Student's t, 5 degrees"].draw, []
    detector = build("conformal_residual", alpha=4.6e-6)
    for _ in range(10):
        panes = [*(draw(rng, 10) for _ in range(60)), *(draw(rng, 10) + by for _ in range(60))]
        news = (replace(make.increment(i), pairs=_pairs(one)) for i, one in enumerate(panes))
        delays.append(10.0 * make.run_length(detector, make.reference(bound=_pairs(draw(rng, bound_n))), news) - 600.0)
    assert min(delays) > 0.0
    judge.delays(f"conformal_residual, a bias of {by:g}, {bound_n} bound rows", delays, 400.0)
