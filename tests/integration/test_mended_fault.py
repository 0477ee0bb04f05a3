"""An incident whose fault was mended closes by itself, and the way back opens no other: a service through its door."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from daemon.show.pages.words import when
from daemon.store import incidents
from tests import shifting
from tests.shifting import MODEL, PANE_S, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUIET_N, LEAST_N = 20, 12
"""Panes without an alarm after which an incident closes; panes that the way back may take."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    said = json.loads(shifting.settings(tmp_path, n=1000).model_dump_json())
    monitors = said["models"][0]["monitors"]
    monitors["quiet_s"] = QUIET_N * PANE_S
    monitors["drift"]["mean_days_between_false_alarms"] = monitors["performance"]["mean_days_between_false_alarms"] = 90
    found = World(shifting.Settings.model_validate(said))
    yield found
    found.close()


@pytest.mark.parametrize("bad_n", [2, 12])
def test_an_incident_closes_when_its_fault_was_mended_also_over_a_restart(world: World, bad_n: int) -> None:
    world.send(2)
    world.send(bad_n, x=-4.0)
    opened = world.incident()
    assert opened is not None
    assert "conformal_numeric:input.x" in opened.subjects
    world.close()
    world.start()
    page = world.http.get(f"/incidents/{opened.id}").text
    assert "None of it alarms now" not in page
    assert "Over. It was" not in page
    assert "quiet now" not in world.http.get("/").text
    world.send(LEAST_N)
    said = f"None of it alarms now. It closes by itself at {when(world.incident().last_alarm_at + QUIET_N * PANE_S)}"  # type: ignore[union-attr]
    assert said in world.http.get(f"/incidents/{opened.id}").text
    assert "quiet now" in world.http.get("/").text
    world.send(QUIET_N)
    assert world.incident() is None
    world.send(20)
    with world.wired.ledger.read() as tx:
        (only,) = incidents.incidents(tx, MODEL)
    assert only.id == opened.id
    assert "Over. It was: " in world.http.get(f"/incidents/{opened.id}").text
    assert only.closed_at is not None
    assert only.last_alarm_at <= opened.opened_at + (bad_n + LEAST_N) * PANE_S
    assert world.verdict("conformal_numeric")["outcome"] == "ok"


def test_an_incident_of_the_loss_closes_when_its_fault_was_mended_and_the_next_one_is_not_missed(world: World) -> None:
    """1,500 bad labels, then good ones, then some: had they stayed in the past, that would be seen after 300 panes or never."""
    world.close()
    said = json.loads(world.settings.model_dump_json())
    others = ("accuracy_floor", "risk_change", "risk", "calibration_change")
    said["models"][0]["monitors"]["alphas"] = dict.fromkeys(others, 1e-290)  # those hold to a limit, or speak of the whole epoch
    world.settings = shifting.Settings.model_validate(said)
    world.start()
    world.send(2)
    world.send(10, p_wrong=0.4)
    opened = world.incident()
    assert opened is not None
    assert opened.subjects.keys() == {"risk_rise:risk"}
    world.send(QUIET_N + 4)
    assert world.incident() is None
    world.send(20)
    with world.wired.ledger.read() as tx:
        (only,) = incidents.incidents(tx, MODEL)
    assert only.last_alarm_at <= opened.opened_at + (10 + 4) * PANE_S
    assert world.verdict("risk_rise")["outcome"] == "ok"
    world.send(8, p_wrong=0.15)
    again = world.incident()
    assert again is not None
    assert again.subjects.keys() == {"risk_rise:risk"}


def test_silence_is_not_quiet_an_incident_stays_open_until_it_was_heard_to_be_over(world: World) -> None:
    world.send(2)
    world.send(3, x=-4.0)
    opened, told = world.incident(), world.heard()
    assert opened is not None
    world.wait(2 * QUIET_N)
    assert world.incident() is not None
    assert told == []
    world.send(LEAST_N)
    assert world.incident() is not None, "its quiet time begins when it is heard again"
    world.send(QUIET_N)
    assert world.incident() is None


def test_what_a_person_closed_opens_no_other_incident_after_a_silence(world: World) -> None:
    world.send(2)
    world.send(3, x=-4.0)
    opened = world.incident()
    assert opened is not None
    world.http.post(f"/v1/incidents/{opened.id}/close", json={**shifting.ADA, "judged": "expected"}).raise_for_status()
    world.wait(2 * QUIET_N)
    world.send(2, x=-4.0)
    assert world.incident() is None
    page = world.http.get(f"/incidents/{opened.id}").text
    assert "1 of its subjects still alarms." in page
    assert "Over. It was" not in page
    world.send(LEAST_N)
    assert "None of its subjects still alarms." in world.http.get(f"/incidents/{opened.id}").text


def test_an_alarm_stays_on_while_its_fault_does_also_over_a_restart_and_where_an_hour_has_few_rows(tmp_path: Path) -> None:
    """25 reference rows an hour: their urn is soon of the fault's records, and the evidence goes below the alarm."""
    said = json.loads(shifting.settings(tmp_path, reference={"rhythm": "hour_of_day"}, n=600).model_dump_json())
    said["models"][0]["monitors"]["drift"]["mean_days_between_false_alarms"] = 90
    found = World(shifting.Settings.model_validate(said))
    found.send(2)
    found.send(1, x=2.0)
    for at in range(10):
        assert found.verdict("conformal_numeric")["outcome"] == "alarm"
        assert "away from those of the 600 of the reference" in found.verdict("conformal_numeric")["because"]
        if at == 5:
            found.close()
            found.start()
        found.send(1, x=2.0)
    found.send(LEAST_N)
    assert found.verdict("conformal_numeric")["outcome"] == "ok"
    found.close()
