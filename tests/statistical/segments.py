"""Lives of the detectors within segments, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from daemon.decide.belief import believe
from daemon.decide.monitors.rates import promised_days
from detectors.sequential.purse import DISCOVERIES, share_of_step
from detectors.types import Increment, Outcome

PANE_S = 60.0
Life = tuple[float, bool]
"""(panes to the first alarm or their number, whether the epoch was confirmed at any pane)."""


def life(detectors: list[Any], states: list[Any], increments: Iterable[Increment]) -> Life:
    """All of them over the same panes, also after an alarm."""
    first, panes_n, is_confirmed = 0.0, 0.0, False
    for data in increments:
        stepped = [d.step(s, data) for d, s in zip(detectors, states, strict=True)]
        states, said = [s for s, _ in stepped], [v for _, v in stepped]
        believed = believe(said, before=None, earlier=(), silent={})
        is_confirmed |= believed is not None and believed.is_confirmed
        panes_n += 1.0
        if not first and any(v.outcome is Outcome.ALARM for v in said):
            first = panes_n
    return first or panes_n, is_confirmed


def hold(judge: Any, what: str, of: Callable[[list[Any]], Life], detectors: list[Any], *, n: int, too_often: list[Any] | None) -> None:
    """Run as long together as was asked for, seldom confirmed falsely; `too_often`: the same at a rate that has to be caught."""
    least = promised_days(detectors, pane_s=PANE_S) * 86_400.0 / PANE_S
    lives = [of(detectors) for _ in range(n)]
    judge.run_lengths(f"one knob: {what}", np.array([first for first, _ in lives]), least)
    level = DISCOVERIES * share_of_step(1)
    judge.crossings(f"an epoch, {what}, ever confirmed", np.array([confirmed for _, confirmed in lives]), level)
    if too_often is not None:
        unsplit = np.array([of(too_often)[0] for _ in range(n)])
        with pytest.raises(AssertionError, match="promised"):
            type(judge)([]).run_lengths("the same, at a rate that nobody split", unsplit, least)
