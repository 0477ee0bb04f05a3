"""The one knob: a whole model's mean run length is at least what was asked for, e-processes included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.rates import Group, promised_days, spread
from daemon.settings import ModelSettings
from detectors.registry import build
from detectors.sequential.bets import NOTHING, log_raise
from detectors.sketches.summary import summarise
from detectors.types import ColumnKind, EDetectorValue, EValue, Increment, Kind, Outcome, Reference

LOOKS_N, RECORDS_A_LOOK, PANE_S = 334, 15, 60.0
COLUMNS_N = 20
MEAN, TARGET = 0.3, np.array([0.5])

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(6, id="full", marks=pytest.mark.prove)])


def _days(panes: float) -> float:
    return panes * PANE_S / 86_400.0


def _boundary_runs(rng: np.random.Generator, streams: int, alphas: dict[str, np.ndarray[Any, Any]], factor: float) -> Any:
    """Panes to the first alarm of any; each detector bets on independent hits whose mean is exactly the limit: the hardest null."""
    running, betting = alphas["run"] * factor, alphas["bet"] * factor
    log_m = np.full((streams, len(running)), NOTHING)
    log_k = np.zeros((streams, len(betting)))
    runs = np.full(streams, float(LOOKS_N))
    for look in range(LOOKS_N):
        n = len(running) + len(betting)
        log_bet = log_raise(RECORDS_A_LOOK, rng.binomial(RECORDS_A_LOOK, MEAN, size=(streams, n)), MEAN, TARGET)
        log_m = np.logaddexp(log_m, 0.0) + log_bet[:, : len(running)]
        log_k = log_k + log_bet[:, len(running) :]
        reached = (log_m >= -np.log(running)).any(axis=1) | (log_k >= -np.log(betting)).any(axis=1)
        runs = np.where(reached & (runs == LOOKS_N), look + 1.0, runs)
    return runs


@short_and_full
def test_many_bets_at_the_boundary_run_as_long_together_as_was_asked_for_and_rates_that_nobody_split_are_caught(
    judge: Any, size: int
) -> None:
    column = build("conformal_numeric", column="input.x", alpha=0.3)
    groups = [
        Group(name="drift", detectors=[column] * COLUMNS_N),
        Group(name="performance", detectors=[build("risk_change", alpha=0.3)] * 2 + [build("risk", alpha=0.3)]),
        Group(name="quality", detectors=[column] * 9),
    ]
    found = spread(groups, days=_days(40), pane_s=PANE_S)
    kinds = (("run", EDetectorValue), ("bet", EValue))
    alphas = {name: np.array([d.alpha for d in found if d.evidence is kind]) for name, kind in kinds}  # type: ignore[attr-defined]
    assert (len(alphas["run"]), len(alphas["bet"])) == (31, 1)
    runs = _boundary_runs(np.random.default_rng(21), 700 * size, alphas, 1.0)
    judge.run_lengths("one knob: 31 e-detectors and an e-process, boundary", runs, 40.0)
    unsplit = _boundary_runs(np.random.default_rng(22), 700 * size, alphas, 9.0)
    with pytest.raises(AssertionError, match="promised"):
        type(judge)([]).run_lengths("the same, each detector with its group's whole rate", unsplit, 40.0)


@short_and_full
def test_a_model_of_twenty_columns_with_performance_and_risk_runs_as_long_as_was_asked_for(judge: Any, make: Any, size: int) -> None:
    rng, panes_n, least = np.random.default_rng(23), 40, 20.0
    model = ModelSettings.model_validate(
        {
            "name": "m",
            "task": "text-classification",
            "labels": ["negative", "positive"],
            "columns": {f"x{i}": "numeric" for i in range(COLUMNS_N)},
            "monitors": {"mean_days_between_false_alarms": _days(least), "performance": {"tolerance": 0.01, "max_drop": 0.01}},
        }
    )
    subjects = [f"input.x{i}" for i in range(COLUMNS_N)]
    runs = np.array([_model_run(rng, make, model, subjects, panes_n) for _ in range(4 * size * size)])
    judge.run_lengths("one knob: a model of 20 columns with performance, risk and quality, fresh reference", runs, least)


def _model_run(rng: np.random.Generator, make: Any, model: ModelSettings, subjects: list[str], panes_n: int) -> float:
    columns = {subject: rng.normal(size=400) for subject in subjects}
    kinds = dict.fromkeys(subjects, ColumnKind.NUMERIC)
    reference = Reference(columns=columns, kinds=kinds, sketches=summarise(columns, kinds), bound=make.pairs_of(rng, 400, 0.1), digest="0")
    alarming = [d for d in monitors(model, has_bound=True, seen=subjects) if d.kind is Kind.ALARMS]
    assert {d.name for d in alarming} >= {"conformal_numeric", "f1_floor", "risk_change", "risk", "missing_rise"}
    assert math.isclose(promised_days(alarming, pane_s=PANE_S), model.monitors.mean_days_between_false_alarms, rel_tol=0.13)
    states = [d.start(reference) for d in alarming]
    for pane in range(panes_n):
        blank = make.increment(pane)
        news = {subject: rng.normal(size=RECORDS_A_LOOK) for subject in subjects}
        pairs = make.pairs_of(rng, RECORDS_A_LOOK, 0.1)
        data = Increment(start=blank.start, end=blank.end, columns=news, pairs=pairs, n=RECORDS_A_LOOK, arrived=RECORDS_A_LOOK)
        stepped = [d.step(state, data) for d, state in zip(alarming, states, strict=True)]
        states = [state for state, _ in stepped]
        if any(verdict.outcome is Outcome.ALARM for _, verdict in stepped):
            return pane + 1.0
    return float(panes_n)
