"""What an incident means for numbers and for judged answers, over the wired service: benign and absorbed without force, or harmful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.shifting import ADA, MODEL, World, settings

ABSORB = f"/v1/models/{MODEL}/absorb"


@pytest.fixture(params=["tabular-regression", "text-generation"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    world = World(settings(tmp_path, task=request.param, n=1000))
    yield world
    world.close()


def test_a_shift_that_leaves_the_loss_as_it_was_is_benign_and_absorbed_without_force(world: World) -> None:
    world.send(2)
    incident = world.until_benign(x=1.5)
    said = incident.diagnosis
    assert said is not None
    assert said["shift"] == "covariate"
    assert said["squares"] > 0.0
    assert "mean absolute error of" in said["because"] or "1 less the judgement" in said["because"]
    assert "input.x" in said["because"]
    assert world.http.post(ABSORB, json=ADA).status_code == 200
    assert world.epoch().epoch == 2
    world.send(3, x=1.5)
    assert world.incident() is None


def test_worse_answers_to_moved_inputs_are_harmful_by_concept_and_not_absorbed(world: World) -> None:
    world.send(2)
    world.send(6, x=0.5, p_wrong=0.6)
    incident = world.incident()
    assert incident is not None
    said = incident.diagnosis
    assert said is not None
    assert (said["harm"], said["shift"]) == ("harmful", "concept"), said
    assert "the same inputs" in said["because"]
    assert world.http.post(ABSORB, json={**ADA, "force": True}).status_code == 409
