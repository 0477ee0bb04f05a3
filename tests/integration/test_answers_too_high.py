"""A regression whose answers become too high: an incident says so by how much, trains nothing, and ends when the bias does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.store import incidents, runs
from tests import shifting
from tests.shifting import ADA, MODEL, PANE_S, Said, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET_N, LEAST_N = 10, 8
"""Panes without an alarm after which an incident closes; panes that the way back may take."""
BIAS = 0.6
"""Of the errors' standard deviation, as much is 1: the mean absolute error rises by less than a fifth, which is allowed here."""


def number(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> Said:
    """An answer that is off by 1 or so, and too high by `p_wrong`."""
    record, _ = shifting.number(rng, name, at, x=x, p_wrong=0.0)
    return record, {"value": record["output"]["value"] + float(rng.normal(-p_wrong))}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setitem(shifting.SAY, "tabular-regression", number)
    said = json.loads(shifting.settings(tmp_path, n=1000, task="tabular-regression").model_dump_json())
    monitors = said["models"][0]["monitors"]
    monitors["quiet_s"] = QUIET_N * PANE_S
    monitors["drift"]["mean_days_between_false_alarms"] = monitors["performance"]["mean_days_between_false_alarms"] = 90
    monitors["performance"] |= {"tolerance": 0.3, "max_rise": 0.3}
    found = World(shifting.Settings.model_validate(said))
    yield found
    found.close()


def send(world: World, panes: int, *, bias: float = 0.0, labels: str = "now") -> None:
    world.send(panes, p_wrong=bias, labels=labels)


@pytest.mark.parametrize("labels", ["now", "late"])
def test_answers_that_are_too_high_are_told_with_their_size_and_the_incident_ends_with_them(world: World, labels: str) -> None:
    send(world, 3)
    assert world.incident() is None
    send(world, 4, bias=BIAS, labels=labels)
    if labels == "late":
        assert world.incident() is None
        world.send_late()
        send(world, 1, bias=BIAS)
    opened = world.incident()
    assert opened is not None
    assert {s["kind"] for s in opened.subjects.values()} == {"bias"}
    because = opened.subjects["conformal_residual:residual"]["because"]
    assert because.startswith("answers are too high by 0.")
    assert not opened.harmful
    verdict = world.verdict("conformal_residual")
    assert 0.0 < verdict["low"] < BIAS < verdict["high"] < 1.2
    said = opened.diagnosis
    assert said is not None
    assert said["shift"] == "concept"
    page = world.http.get(f"/incidents/{opened.id}").text
    assert "answers are too high by 0." in page
    assert "too high or too low, or further off, than before" in world.http.get("/").text + page
    assert world.http.post(f"/v1/models/{MODEL}/absorb", json={**ADA, "force": True}).status_code == 409
    send(world, LEAST_N + QUIET_N)
    assert world.incident() is None
    send(world, 4)
    with world.wired.ledger.read() as tx:
        (only,) = incidents.incidents(tx, MODEL)
        assert runs.active(tx, MODEL) is None
    assert only.id == opened.id
    assert world.verdict("conformal_residual")["outcome"] == "ok"
    assert abs(world.verdict("conformal_residual")["value"]) < 0.15


def test_what_began_before_a_restart_is_seen_after_it(world: World) -> None:
    send(world, 3)
    send(world, 1, bias=BIAS)
    world.close()
    world.start()
    send(world, 2, bias=BIAS)
    opened = world.incident()
    assert opened is not None
    assert "conformal_residual:residual" in opened.subjects
