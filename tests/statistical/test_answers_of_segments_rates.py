"""Drift of answers within segments: every shop has answers of its own, none changes, and the mix of shops does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from daemon.decide.belief import believe
from daemon.decide.monitors.all import monitors
from daemon.decide.monitors.rates import promised_days
from daemon.settings import ModelSettings
from detectors.sequential.purse import DISCOVERIES, share_of_step
from detectors.types import Increment, Kind, Outcome, Pairs, Reference

SHOPS_N, PANES_N, PANE_S, ROWS_N = 4, 24, 60.0, 60
SHOPS = np.array([f"s{i}" for i in range(SHOPS_N)], dtype=object)
LABELS = np.array(["no", "yes", "refund"], dtype=object)
AT = datetime(2026, 1, 1, tzinfo=UTC)

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(40, id="full", marks=pytest.mark.prove)])


def _within(panes: float) -> list[Any]:
    """Label and score of each shop; the rate of the whole's detectors is in `panes`, too, and so it is not all theirs."""
    days = panes * PANE_S / 86_400.0
    monitored = {"mean_days_between_false_alarms": days, "performance": None, "quality": None, "segments": ["shop"]}
    said = {"name": "m", "task": "text-classification", "labels": [*LABELS], "columns": {"shop": "category"}, "monitors": monitored}
    found = monitors(ModelSettings.model_validate(said), has_bound=False, values={"input.shop": tuple(SHOPS)})
    return [d for d in found if d.kind is Kind.ALARMS and getattr(d, "within", None) is not None]


def _columns(rng: np.random.Generator, shop: Any, shares: Any, means: Any) -> dict[str, Any]:
    """Answers of these shops (indices), as each has them."""
    at = (rng.random(len(shop))[:, None] > np.cumsum(shares[shop], axis=1)).sum(axis=1)
    label = LABELS[np.minimum(at, len(LABELS) - 1)]
    return {"input.shop": SHOPS[shop], "output.label": label, "output.score": rng.normal(means[shop]).round(1)}


def _life(rng: np.random.Generator, detectors: list[Any]) -> tuple[float, bool]:
    """(panes to the first alarm, whether the epoch was confirmed at any pane), by a reference and shops of its own."""
    shares, means = rng.dirichlet([2.0, 2.0, 1.0], SHOPS_N), rng.normal(size=SHOPS_N)
    known = _columns(rng, np.repeat(np.arange(SHOPS_N), ROWS_N), shares, means)
    states = [d.start(Reference(columns=known, kinds={}, sketches={}, bound=Pairs.empty(), digest="0")) for d in detectors]
    first, is_confirmed = float(PANES_N), False
    for pane in range(PANES_N):
        mix = rng.dirichlet(np.ones(SHOPS_N))  # which shops are busy changes with every pane
        columns = _columns(rng, rng.choice(SHOPS_N, size=48, p=mix), shares, means)
        at = datetime.fromtimestamp(AT.timestamp() + 60.0 * rng.integers(10**6), UTC)  # it breaks ties, of each life otherwise
        data = Increment(start=at, end=at, columns=columns, pairs=Pairs.empty(), n=48)
        stepped = [d.step(s, data) for d, s in zip(detectors, states, strict=True)]
        states, said = [s for s, _ in stepped], [v for _, v in stepped]
        believed = believe(said, before=None, earlier=())
        is_confirmed |= believed is not None and believed.is_confirmed
        if first == PANES_N and any(v.outcome is Outcome.ALARM for v in said):
            first = pane + 1.0
    return first, is_confirmed


@short_and_full
def test_answers_within_segments_run_as_long_as_their_share_of_the_knob_whatever_the_mix_of_segments(judge: Any, size: int) -> None:
    rng, detectors = np.random.default_rng(71), _within(6.0)
    assert len(detectors) == 2 * SHOPS_N
    least = promised_days(detectors, pane_s=PANE_S) * 86_400.0 / PANE_S
    lives = [_life(rng, detectors) for _ in range(4 * size)]
    judge.run_lengths("one knob: label and score of 4 shops, whose mix moves", np.array([first for first, _ in lives]), least)
    level = DISCOVERIES * share_of_step(1)
    judge.crossings("an epoch of 4 shops whose mix moves, ever confirmed", np.array([confirmed for _, confirmed in lives]), level)
    if size == 1:  # too few streams to prove a rate too high
        return
    unsplit = np.array([_life(rng, _within(6.0 / 24))[0] for _ in range(4 * size)])
    with pytest.raises(AssertionError, match="promised"):
        type(judge)([]).run_lengths("the same, each with 24 times its rate", unsplit, least)
