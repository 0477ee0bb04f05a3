"""Drift of answers within segments: every shop has answers of its own, none changes, and the mix of shops does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from detectors.types import Increment, Kind, Pairs, Reference
from tests.statistical.segments import PANE_S, Life, hold, life

SHOPS_N, PANES_N, ROWS_N = 4, 24, 60
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


def _life(rng: np.random.Generator, detectors: list[Any]) -> Life:
    """By a reference and shops of its own."""
    shares, means = rng.dirichlet([2.0, 2.0, 1.0], SHOPS_N), rng.normal(size=SHOPS_N)
    known = _columns(rng, np.repeat(np.arange(SHOPS_N), ROWS_N), shares, means)
    states = [d.start(Reference(columns=known, kinds={}, sketches={}, bound=Pairs.empty(), digest="0")) for d in detectors]
    return life(detectors, states, (_increment(rng, shares, means) for _ in range(PANES_N)))


def _increment(rng: np.random.Generator, shares: Any, means: Any) -> Increment:
    mix = rng.dirichlet(np.ones(SHOPS_N))  # which shops are busy changes with every pane
    columns = _columns(rng, rng.choice(SHOPS_N, size=48, p=mix), shares, means)
    at = datetime.fromtimestamp(AT.timestamp() + 60.0 * rng.integers(10**6), UTC)  # it breaks ties, of each life otherwise
    return Increment(start=at, end=at, columns=columns, pairs=Pairs.empty(), n=48)


@short_and_full
def test_answers_within_segments_run_as_long_as_their_share_of_the_knob_whatever_the_mix_of_segments(judge: Any, size: int) -> None:
    rng, detectors = np.random.default_rng(71), _within(6.0)
    assert len(detectors) == 2 * SHOPS_N
    too_often = _within(6.0 / 24) if size > 1 else None  # fewer streams cannot prove a rate too high
    hold(judge, "label and score of 4 shops, whose mix moves", lambda of: _life(rng, of), detectors, n=4 * size, too_often=too_often)
