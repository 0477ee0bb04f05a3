"""The one knob with segments, and what is confirmed over a model's life: each at the edge of what is still fine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from daemon.decide.belief import believe
from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from detectors.combine import e_lond_levels
from detectors.sequential.purse import DISCOVERIES
from detectors.types import EDetectorValue, EValue, Increment, Outcome, Pairs, Reference, Verdict
from tests.statistical.segments import PANE_S, Life, hold, life

SHOPS_N, PANES_N, PER_SHOP = 4, 24, 12
SHOPS = np.array([f"s{i}" for i in range(SHOPS_N)], dtype=object)
AT = datetime(2026, 1, 1, tzinfo=UTC)

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(8, id="full", marks=pytest.mark.prove)])


def _model(panes: float) -> ModelSettings:
    monitored = {
        "mean_days_between_false_alarms": panes * PANE_S / 86_400.0,
        "drift": None,
        "quality": None,
        "performance": {"metric": "accuracy", "tolerance": 0.01, "max_drop": 0.01},
        "segments": ["shop"],
    }
    said = {"name": "m", "task": "text-classification", "labels": ["no", "yes"], "columns": {"shop": "category"}, "monitors": monitored}
    return ModelSettings.model_validate(said)


def _pairs(rng: np.random.Generator, n: int, wrong: np.ndarray[Any, Any]) -> Pairs:
    """n of each shop, wrong as often as said of each."""
    shop = np.repeat(np.arange(SHOPS_N), n)
    label = np.full(len(shop), "yes", dtype=object)
    said = np.where(rng.random(len(shop)) < wrong[shop], "no", label).astype(object)
    return Pairs(predicted=said, label=label, columns={"input.shop": SHOPS[shop]})


def _within(panes: float) -> list[Any]:
    found = monitors(_model(panes), has_bound=True, values={"input.shop": tuple(SHOPS)})
    return [d for d in found if getattr(d, "within", None) is not None]


def _by_limits(panes: float) -> list[Any]:
    """Without the ranks, to which a loss at its limit is one that rose."""
    return [d for d in _within(panes) if d.name != "risk_rise"]


def _life(rng: np.random.Generator, detectors: list[Any], *, is_at_limit: bool) -> Life:
    """Every shop is as bad as is still fine, by a fresh bound; or as bad as ever."""
    wrong = rng.uniform(0.05, 0.3, SHOPS_N)
    bound = _pairs(rng, 60, wrong)
    states = [d.start(Reference(columns={}, kinds={}, sketches={}, bound=bound, digest="0")) for d in detectors]
    if is_at_limit:
        limits = {d.within.value: state.limit for d, state in zip(detectors, states, strict=True)}
        wrong = np.array([limits[shop] for shop in SHOPS])
    panes = (Increment(start=AT, end=AT, columns={}, pairs=_pairs(rng, PER_SHOP, wrong)) for _ in range(PANES_N))
    return life(detectors, states, panes)


@short_and_full
def test_segments_run_as_long_together_as_their_share_of_the_knob_and_are_seldom_confirmed_falsely(judge: Any, size: int) -> None:
    rng, detectors = np.random.default_rng(61), _by_limits(5.0)
    assert len(detectors) == 2 * SHOPS_N
    too_often = _by_limits(5.0 / (6 * SHOPS_N)) if size > 1 else None  # three times the group's whole rate; fewer streams cannot prove it
    what = "4 shops by loss and accuracy, at their limits"
    hold(judge, what, lambda of: _life(rng, of, is_at_limit=True), detectors, n=20 * size, too_often=too_often)


@short_and_full
def test_segments_that_are_as_ever_run_as_long_by_the_ranks_of_losses_too(judge: Any, size: int) -> None:
    rng, detectors = np.random.default_rng(63), _within(5.0)
    assert len(detectors) == 3 * SHOPS_N
    ranks = [d for d in _within(5.0 / (6 * SHOPS_N)) if d.name == "risk_rise"] if size > 1 else None
    what = "4 shops by loss, accuracy and ranks of losses, as ever"
    hold(judge, what, lambda of: _life(rng, of, is_at_limit=False), detectors, n=20 * size, too_often=ranks)


@short_and_full
def test_of_the_epochs_that_are_confirmed_over_a_models_life_few_had_nothing_to_confirm(judge: Any, size: int) -> None:
    rng, epochs_n, false = np.random.default_rng(62), 20, []
    for _ in range(80 * size):
        earlier: list[float | None] = []
        found, wrongly = 0, 0
        for _ in range(epochs_n):
            is_real = rng.random() < 0.25
            level = e_lond_levels([EValue(log10_e=-300.0 if x is None else x, alpha=0.1) for x in [*earlier, None]], DISCOVERIES)[-1]
            e = 1e9 if is_real else rng.choice([1.0001 / level, 0.0], p=[level, 1.0 - level])  # mean 1: the hardest for this level
            said = believe([_verdict(float(np.log10(max(e, 1e-300))))], before=None, earlier=earlier, silent={})
            assert said is not None
            found, wrongly = found + said.is_confirmed, wrongly + (said.is_confirmed and not is_real)
            earlier.append(said.log10_e)
        false.append(wrongly / max(1, found))
    share = np.mean(false)
    judge.rows.append(("epochs confirmed by e-LOND, 1 of 4 real", "false ones <= 0.1", f"{share:.4f}", "0.1", str(len(false)), "-"))
    assert 0.0 < share <= DISCOVERIES


def _verdict(log10_e: float) -> Verdict:
    figures = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    loud = EDetectorValue(log10_e=9.0, alpha=1e-5)
    beside = EValue(log10_e=log10_e, alpha=DISCOVERIES)
    return Verdict(
        detector="f1_floor",
        subject="f1",
        outcome=Outcome.ALARM,
        evidence=loud,
        because="It alarms.",
        e_value=beside,
        **figures,  # type: ignore[arg-type]
    )
