"""Inputs within segments: every shop has its own, with ties and gaps, and only the mix of shops changes; or gaps are at their limit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from daemon.decide.monitors.all import monitors
from daemon.settings import ModelSettings
from detectors.types import ColumnKind, Increment, Kind, Pairs, Reference
from tests.statistical.segments import PANE_S, Life, hold, life

SHOPS_N, PANES_N, ROWS_N, PER_PANE = 4, 24, 60, 48
SHOPS = np.array([f"s{i}" for i in range(SHOPS_N)], dtype=object)
CITIES = np.array(["a", "b", "c", None], dtype=object)
KINDS = {"input.shop": ColumnKind.CATEGORY, "input.age": ColumnKind.NUMERIC, "input.city": ColumnKind.CATEGORY}
AT = datetime(2026, 1, 1, tzinfo=UTC)
Shops = dict[str, Any]
"""Of each shop: mean age, shares of the cities, shares of missing ages and of missing cities, shape (SHOPS_N, ...)."""

short_and_full = pytest.mark.parametrize("size", [pytest.param(1, id="short"), pytest.param(40, id="full", marks=pytest.mark.prove)])


def _within(panes: float, *, moves: bool = True) -> list[Any]:
    """Of each shop what comes in and what is missing; `moves` = False: only what is missing."""
    days = panes * PANE_S / 86_400.0
    monitored = {"performance": None, "segments": {"by": ["shop"], "inputs": {"mean_days_between_false_alarms": days}}}
    columns = {"shop": "category", "age": "numeric", "city": "category"}
    said = {"name": "m", "task": "text-classification", "columns": columns, "monitors": monitored | ({} if moves else {"drift": None})}
    found = monitors(ModelSettings.model_validate(said), has_bound=False, values={"input.shop": tuple(SHOPS)})
    kept = [d for d in found if d.kind is Kind.ALARMS and getattr(d, "within", None) is not None and "output." not in d.subject]
    assert len(kept) == (4 if moves else 2) * SHOPS_N
    return kept


def _shops(rng: np.random.Generator) -> Shops:
    missing = rng.uniform(0.0, 0.1, (2, SHOPS_N))
    return {"mean": 2.0 * rng.normal(size=SHOPS_N), "cities": rng.dirichlet([2.0, 1.0, 0.5], SHOPS_N), "missing": missing}


def _columns(rng: np.random.Generator, shop: Any, of: Shops) -> dict[str, Any]:
    """What these shops (indices) send: ages by whole years, so that many are alike."""
    at = (rng.random(len(shop))[:, None] > np.cumsum(of["cities"][shop], axis=1)[:, :2]).sum(axis=1)
    age = np.where(rng.random(len(shop)) < of["missing"][0][shop], np.nan, rng.normal(of["mean"][shop], 2.0).round())
    city = CITIES[np.where(rng.random(len(shop)) < of["missing"][1][shop], 3, at)]
    return {"input.shop": SHOPS[shop], "input.age": age, "input.city": city}


def _life(rng: np.random.Generator, detectors: list[Any], *, at_limit: bool) -> Life:
    """By a reference and shops of its own; `at_limit`: from then on as much is missing as is still fine."""
    of = _shops(rng)
    known = _columns(rng, np.repeat(np.arange(SHOPS_N), ROWS_N), of)
    states = [d.start(Reference(columns=known, kinds=KINDS, sketches={}, bound=Pairs.empty(), digest="0")) for d in detectors]
    if at_limit:
        limits = {(d.column, d.within.value): state.share.limit for d, state in zip(detectors, states, strict=True)}
        of["missing"] = np.array([[limits[column, shop] for shop in SHOPS] for column in ("input.age", "input.city")])
    return life(detectors, states, (_increment(rng, of) for _ in range(PANES_N)))


def _increment(rng: np.random.Generator, of: Shops) -> Increment:
    mix = rng.dirichlet(np.ones(SHOPS_N))  # which shops are busy changes with every pane
    columns = _columns(rng, rng.choice(SHOPS_N, size=PER_PANE, p=mix), of)
    at = datetime.fromtimestamp(AT.timestamp() + 60.0 * rng.integers(10**6), UTC)  # it breaks ties, of each life otherwise
    return Increment(start=at, end=at, columns=columns, pairs=Pairs.empty(), n=PER_PANE)


@short_and_full
def test_inputs_within_segments_run_as_long_as_their_share_of_the_knob_whatever_the_mix_of_segments(judge: Any, size: int) -> None:
    rng, detectors = np.random.default_rng(81), _within(6.0)
    too_often = _within(6.0 / 48) if size > 1 else None  # fewer streams cannot prove a rate too high
    what = "number, category and what is missing of 4 shops, whose mix moves"
    hold(judge, what, lambda of: _life(rng, of, at_limit=False), detectors, n=4 * size, too_often=too_often)


@short_and_full
def test_as_much_missing_within_segments_as_is_fine_runs_as_long_as_promised(judge: Any, size: int) -> None:
    rng, detectors = np.random.default_rng(82), _within(6.0, moves=False)
    too_often = _within(6.0 / 48, moves=False) if size > 1 else None
    hold(judge, "missing of 4 shops, at their limits", lambda of: _life(rng, of, at_limit=True), detectors, n=4 * size, too_often=too_often)
