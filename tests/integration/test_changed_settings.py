"""Settings change between two starts while an incident is open: what goes on, what begins anew, and who is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import shifting
from tests.shifting import PER_PANE, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BAD_N = 3


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A drifted model with an open incident."""
    found = World(shifting.settings(tmp_path))
    found.send(2)
    found.send(BAD_N, x=-4.0)
    assert found.incident() is not None
    yield found
    found.close()


def restart(world: World, **changed: Any) -> None:
    """A new process with other settings of the monitors; `columns`: of the model."""
    said = json.loads(world.settings.model_dump_json())
    (model,) = said["models"]
    model["columns"] = changed.pop("columns", model["columns"])
    model["monitors"] |= changed
    world.close()
    world.settings = shifting.Settings.model_validate(said)
    world.start()


@pytest.mark.parametrize("name", ["quiet_s", "window_s", "blind_after_s", "watermark_s", "lateness_s", "label_horizon_s"])
def test_what_no_detector_reads_may_be_changed_and_the_evidence_goes_on(world: World, name: str) -> None:
    restart(world, **{name: getattr(world.settings.models[0].monitors, name) * 1.1})
    world.send(1, x=-4.0)
    assert world.verdict("conformal_numeric")["n"] == (BAD_N + 1) * PER_PANE
