"""Panes as long as the window: the window holds the newest of them, and traffic of this day is compared with as many of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import shifting
from tests.shifting import World

_DAY_S = 86_400.0


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    monkeypatch.setattr(shifting, "PANE_S", 1800.0)
    of = shifting.settings(tmp_path, has_quality=True)
    model = of.models[0]
    monitors = model.monitors.model_copy(update={"window_s": 1800.0 * request.param})
    made = World(of.model_copy(update={"models": [model.model_copy(update={"monitors": monitors})], "future_s": 1e6}))
    yield made
    made.close()


@pytest.mark.parametrize("world", [1, 2], indirect=True)
def test_a_window_holds_whole_panes_up_to_the_newest_closed_one(world: World) -> None:
    panes_n = int(world.settings.models[0].monitors.window_s / shifting.PANE_S)
    begin = world.now
    for day in range(5):
        world.now = begin + day * _DAY_S
        world.send(3)
    assert world.verdict("accuracy")["n"] == panes_n * shifting.PER_PANE
    assert world.verdict("missing")["n"] == panes_n * shifting.PER_PANE
    traffic = world.verdict("traffic")
    assert traffic["n"] == panes_n * shifting.PER_PANE
    assert traffic["value"] == pytest.approx(1.0, abs=0.01)
    window = world.http.get(f"/v1/models/{shifting.MODEL}").json()["window"]
    assert (window["n"], window["n_labelled"]) == (panes_n * shifting.PER_PANE,) * 2
