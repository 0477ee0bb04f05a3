"""Mistakes that void a promise, planted into real detectors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.types import Detector, EValue, Increment, Pairs, Verdict


@dataclass(frozen=True)
class Twice:
    """Every pane is counted twice."""

    detector: Detector

    def step(self, state: Any, data: Increment) -> tuple[Any, Verdict]:
        state, _ = self.detector.step(state, data)
        return self.detector.step(state, data)


@dataclass(frozen=True)
class Knowing:
    """Each stake is 0 for the panes that would cost it anything: the bet knows what it bets on."""

    detector: Detector

    def step(self, state: Any, data: Increment) -> tuple[Any, Verdict]:
        after, verdict = self.detector.step(state, data)
        before, after_m = _wealth(state), _wealth(after)
        idle = before if isinstance(verdict.evidence, EValue) else np.logaddexp(before, 0.0)  # an e-detector begins anew at every pane
        nothing = dataclasses.replace(data, columns={}, pairs=Pairs.empty(), n=0, wrong={}, arrived=0, repeated=0)
        return self.detector.step(_with_wealth(after, np.maximum(after_m, idle)), nothing)


def _wealth(state: Any) -> Any:
    return state.log_m if hasattr(state, "log_m") else state.share.log_m


def _with_wealth(state: Any, log_m: Any) -> Any:
    if hasattr(state, "log_m"):
        return dataclasses.replace(state, log_m=log_m)
    return dataclasses.replace(state, share=dataclasses.replace(state.share, log_m=log_m))
