"""Settings change between two starts while an incident is open: what goes on, what begins anew, and who is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import shifting
from tests.shifting import PANE_S, PER_PANE, World

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
    """A new process with other settings of the monitors; `name`, `columns`: of the model."""
    said = json.loads(world.settings.model_dump_json())
    (model,) = said["models"]
    model |= {name: changed.pop(name, model[name]) for name in ("name", "columns")}
    model["monitors"] |= changed
    world.close()
    world.settings = shifting.Settings.model_validate(said)
    world.start()


@pytest.mark.parametrize("name", ["quiet_s", "window_s", "blind_after_s", "watermark_s", "lateness_s", "label_horizon_s"])
def test_what_no_detector_reads_may_be_changed_and_the_evidence_goes_on(world: World, name: str) -> None:
    restart(world, **{name: getattr(world.settings.models[0].monitors, name) * 1.1})
    world.send(1, x=-4.0)
    assert world.verdict("conformal_numeric")["n"] == (BAD_N + 1) * PER_PANE


def test_a_knob_that_moved_is_told_where_the_incident_is_looked_at_and_once(world: World) -> None:
    opened = world.incident()
    assert opened is not None
    for _ in range(2):
        restart(world, mean_days_between_false_alarms=365.0, drift={"mean_days_between_false_alarms": 30.0, "together": False})
        world.wait(1)
    world.send(1, x=-4.0)
    assert world.verdict("conformal_numeric")["n"] == PER_PANE
    page = world.http.get(f"/incidents/{opened.id}").text
    assert page.count("the settings of what is watched changed: all sequential evidence begins anew") == 1


def test_an_incident_of_a_column_that_is_not_watched_any_more_is_not_called_quiet(world: World) -> None:
    opened, quiet_n = world.incident(), 5
    assert opened is not None
    restart(world, columns={"channel": "category"}, quiet_s=quiet_n * PANE_S)
    told = world.heard()
    world.send(1, x=-4.0)
    page = world.http.get(f"/incidents/{opened.id}").text
    assert "all sequential evidence begins anew; not watched any more: input.x" in page
    assert "The settings changed, and nothing of it is watched any more. It closes by itself at" in page
    assert "of an earlier epoch" not in page
    assert "Nothing of it is watched any more." in world.http.get("/").text
    world.send(quiet_n, x=-4.0)
    assert world.incident() is None
    (said,) = (body.splitlines()[0] for body in told)
    assert said.startswith("Over: the settings changed, and nothing of it is watched any more. It lasted ")
    assert said.endswith("drift (input.x).")


def test_the_page_of_an_incident_whose_model_was_taken_out_of_the_settings_says_so(world: World) -> None:
    opened = world.incident()
    assert opened is not None
    restart(world, name="another")
    page = world.http.get(f"/incidents/{opened.id}").text
    assert "The settings changed, and nothing of it is watched any more." in page
    assert "of an earlier epoch" not in page
