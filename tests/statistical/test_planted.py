"""Mistakes that would void a guarantee are planted, and the proofs catch each of them (a doubled alpha: beside the sharp proofs)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from detectors import registry
from detectors.checks import checks_for
from detectors.sequential.conformal_numeric import ConformalNumeric
from detectors.types import Increment, Outcome, PValue
from tests.prove import trials
from tests.prove.boundary import placed, worth
from tests.prove.spoilt import Knowing, Twice
from tests.prove.verdicts import alarms


@pytest.mark.parametrize(
    "name", ["accuracy_floor", "conformal_category", "conformal_numeric", "f1_floor", "missing_rise", "risk", "risk_change", "risk_rise"]
)
def test_evidence_counted_twice_and_a_stake_that_knows_its_own_pane_are_caught(name: str) -> None:
    detector, stream = placed(name)
    streams = [stream(seed) for seed in range(400)]
    assert worth(detector, streams).least <= 1.0
    assert worth(Twice(detector), streams).least > 1.0
    assert worth(Knowing(detector), streams).least > 1.0


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
