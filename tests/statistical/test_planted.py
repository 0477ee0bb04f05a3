"""Mistakes that would void a guarantee are planted, and the proofs catch each of them (a doubled alpha: beside the sharp proofs)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from detectors import registry
from detectors.checks import checks_for
from detectors.sequential.bets import NOTHING, log_raise, restart, targets_above
from detectors.sequential.conformal_numeric import ConformalNumeric
from detectors.types import Increment, Outcome, PValue
from tests.prove import trials
from tests.prove.verdicts import alarms

_LOOKS_N, _A_LOOK, _MEAN, _ALPHA = 334, 15, 0.1, 0.05


def _hits(seed: int, streams: int) -> np.ndarray[Any, Any]:
    """Errors in each pane, at the boundary of the null, shape (streams, looks)."""
    return np.random.default_rng(seed).binomial(_A_LOOK, _MEAN, size=(streams, _LOOKS_N))


def _bets(hits: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Logarithm of each pane's bet at each stake, shape (streams, looks, stakes)."""
    return log_raise(_A_LOOK, hits[..., None], _MEAN, targets)


def _ever(log_wealth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(log_wealth.max(axis=1) >= -math.log(_ALPHA))


def test_an_increment_used_for_its_own_bet_is_caught(judge: Any) -> None:
    bets = _bets(_hits(31, 400), targets_above(_MEAN))
    honest = np.logaddexp.reduce(np.cumsum(bets, axis=1), axis=2) - math.log(bets.shape[2])
    judge.crossings("stakes fixed beforehand", _ever(honest), _ALPHA)
    peeking = np.cumsum(bets.max(axis=2), axis=1)  # the stake that suits the pane
    with pytest.raises(AssertionError, match="streams cross"):
        judge.crossings("the stake chosen by the pane that it bets on", _ever(peeking), _ALPHA)


def test_evidence_counted_twice_is_caught(judge: Any) -> None:
    target = np.array([_MEAN + 0.5 * _MEAN * (1.0 - _MEAN)])
    bets = _bets(_hits(32, 6000), target)[..., 0]
    judge.crossings("each pane once", _ever(np.cumsum(bets, axis=1)), _ALPHA)
    overlapping = bets + np.concatenate([np.zeros((len(bets), 1)), bets[:, :-1]], axis=1)  # windows of two panes at every pane
    with pytest.raises(AssertionError, match="streams cross"):
        judge.crossings("each pane in two windows", _ever(np.cumsum(overlapping, axis=1)), _ALPHA)


def test_panes_that_come_twice_shorten_a_restarted_run_and_are_caught(judge: Any) -> None:
    def runs(times: int) -> np.ndarray[Any, Any]:
        found = []
        for hits in _hits(33, 500):
            log_m, panes = np.full(1, NOTHING), float(_LOOKS_N)
            for i, bet in enumerate(_bets(hits, np.array([0.12]))):
                log_m = restart(log_m, times * bet, alpha=1e-9)
                if log_m[0] >= math.log(40.0):
                    panes = i + 1.0
                    break
            found.append(panes)
        return np.array(found)

    judge.run_lengths("each pane once", runs(1), 40.0)
    with pytest.raises(AssertionError, match="promised"):
        judge.run_lengths("each pane four times", runs(4), 40.0)


def test_a_two_sided_claim_from_a_one_sided_p_value_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.detector_class("chi_square")

    def step(self: Any, state: Any, data: Any) -> Any:
        state, verdict = cls.step(self, state, data)
        p = verdict.evidence.p / 2.0
        outcome = Outcome.ALARM if p <= self.alpha and verdict.outcome is not Outcome.INSUFFICIENT else verdict.outcome
        return state, dataclasses.replace(verdict, outcome=outcome, evidence=PValue(p=p, alpha=self.alpha))

    spoilt = dataclasses.dataclass(frozen=True, kw_only=True)(type("OneSided", (cls,), {"__doc__": "One-sided.", "step": step}))
    spoilt.name = "one_sided"
    monkeypatch.setitem(registry._found, "one_sided", spoilt)
    assert alarms("chi_square", "independent", [trials.look("chi_square", "independent", seed) for seed in range(1000)]).is_kept
    assert not alarms("one_sided", "independent", [trials.look("one_sided", "independent", seed) for seed in range(1000)]).is_kept


def test_a_hidden_global_generator_is_caught() -> None:
    def step(self: Any, state: Any, data: Increment) -> Any:
        values = data.columns.get("input.age", np.empty(0))
        noise = np.random.normal(0.0, 1e-3, len(values))  # noqa: NPY002 (the mistake)
        return ConformalNumeric.step(self, state, dataclasses.replace(data, columns={"input.age": values + noise}))

    spoilt = dataclasses.dataclass(frozen=True, kw_only=True)(
        type("Drawing", (ConformalNumeric,), {"__doc__": "Draws.", "name": "conformal_numeric", "step": step})
    )
    failed = []
    for check in checks_for(spoilt):
        try:
            check()
        except AssertionError:
            failed.append(check.name)
    assert "is_pure" in failed
