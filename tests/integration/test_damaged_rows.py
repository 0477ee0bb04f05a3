"""Rows of the ledger that somebody damaged: one model's stop neither the other models nor a page, and each is told in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from daemon.settings import Settings
from daemon.store import runs
from tests.shifting import MODEL, World, settings

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "other"
NO_JSON, NO_OBJECT, NO_UTF8 = "'{\"a'", "'[1]'", "CAST(X'7bff7d' AS TEXT)"
ROWS = {
    "event.data": "UPDATE event SET data = {} WHERE model = 'shop'",
    "verdict.data": "UPDATE verdict SET data = {}",
    "incident.subjects": "UPDATE incident SET subjects = {}",
    "incident.diagnosis": "UPDATE incident SET diagnosis = {}",
    "incident.evidence": "UPDATE incident SET evidence = {}",
    "incident.held": "UPDATE incident SET held = {}",
    "run.trigger": 'UPDATE run SET "trigger" = {}',
    "run.record": "UPDATE run SET record = {}",
    "run.detail": "UPDATE run SET detail = {}",
    "outbox.payload": "UPDATE outbox SET payload = {}, done_at = NULL, next_at = 0",
    "label.value": "UPDATE label SET value = {}",
    "pane.sketches": "UPDATE pane SET sketches = {}",
    "detector_state.state": "UPDATE detector_state SET state = {}",
}
INSIDE = {
    "a subject without a kind": "UPDATE incident SET subjects = '{\"a:b\": 1}'",
    "a verdict without a number": "UPDATE verdict SET data = json_set(data, '$.value', 'x')",
    "a diagnosis without counts": 'UPDATE incident SET diagnosis = \'{"n": "many"}\'',
    "a run in no state": "UPDATE run SET state = 'nowhere'",
    "an epoch that is a word": "UPDATE champion SET epoch = 'first' WHERE model = 'shop'",
    "a reference with a NUL in its name": "UPDATE epoch SET reference_path = 'a' || char(0) WHERE model = 'shop'",
    "a time that is a word": "UPDATE incident SET opened_at = 'noon'",
    "a cut state": "UPDATE detector_state SET state = substr(state, 1, length(state) / 2)",
    "cut sketches": "UPDATE pane SET sketches = substr(sketches, 1, length(sketches) / 2)",
}
PAGES = ("/", "/metrics", "/healthz", "/v1/models", f"/v1/models/{OTHER}", f"/models/{OTHER}", f"/models/{MODEL}")


def world(folder: Path) -> World:
    """Two models; the one with traffic has an incident and a run."""
    given = settings(folder).model_dump(mode="json")
    other = {"name": OTHER, "task": "tabular-classification", "labels": ["no", "yes"], "columns": {"x": "numeric"}}
    found = World(Settings.model_validate({**given, "models": [*given["models"], other]}))
    found.send(3)
    found.send(6, x=3.0)
    assert found.incident() is not None
    with found.wired.ledger.begin() as tx:
        trigger = {"kind": "asked", "incident": found.incident().id}  # type: ignore[union-attr]
        runs.create(tx, run_id="r", model=MODEL, trigger=trigger, champion_version="1", folder="runs/r", now=found.now, because="asked")
    return found


def asks(found: World, *more: str) -> dict[str, int]:
    """Path -> status."""
    return {path: found.http.get(path).status_code for path in (*PAGES, *more)}


@pytest.mark.parametrize("value", [NO_JSON, NO_OBJECT, NO_UTF8], ids=["no JSON", "no object", "no UTF-8"])
def test_objects_and_blobs_that_are_none_stop_nothing_and_are_told(tmp_path: Path, value: str) -> None:
    found = world(tmp_path)
    incident = found.incident()
    assert incident is not None
    with found.wired.ledger.begin() as tx:
        for damage in ROWS.values():
            tx.execute(text(damage.replace("{}", value.replace(":", r"\:"))))
    found.wired.ledger.close()
    found.close()
    with capture_logs() as logs:
        found.start()
        ticks = found.wired.pipeline
        found.send(2, x=3.0)
        assert ticks.shown is not None
        assert ticks.apart.troubles == {}
        pages = asks(found, f"/incidents/{incident.id}", f"/v1/incidents/{incident.id}", "/runs/r")
        assert set(pages.values()) == {200}, pages
        damaged = found.http.get("/healthz").json()["damaged"]
        metrics = found.http.get("/metrics").text
    assert f'retuned_model_troubles{{model="{MODEL}"}} {len(damaged[MODEL])}.0' in metrics
    assert f'retuned_model_troubles{{model="{OTHER}"}} 0.0' in metrics
    assert list(damaged) == [MODEL]
    said = "\n".join(damaged[MODEL])
    assert len(damaged[MODEL]) < 10
    for what in ("of event", "of run r: no JSON object"):
        assert what in said
    assert "put the row back, or restore a backup" in found.http.get(f"/models/{MODEL}").text
    told = {entry["event"] for entry in logs}
    assert {"ledger.damaged", "detector.started_afresh", "pane.unreadable"} <= told
    assert "tick.failed" not in told
    found.send(2, x=3.0)
    assert found.incident() is not None
    found.close()


@pytest.mark.parametrize("damage", INSIDE.values(), ids=INSIDE)
def test_a_row_that_reads_and_makes_no_sense_is_its_models_trouble_alone(tmp_path: Path, damage: str) -> None:
    found = world(tmp_path)
    incident = found.incident()
    assert incident is not None
    with found.wired.ledger.begin() as tx:
        tx.execute(text(damage.replace(":", r"\:")))
    found.close()
    found.start()
    before = _n_panes(found)
    found.send(2, x=3.0)
    assert _n_panes(found) > before
    pages = asks(found)
    assert set(pages.values()) == {200}, pages
    for path in (f"/incidents/{incident.id}", "/runs/r"):
        answer = found.http.get(path)
        assert answer.status_code == 200 or "cannot be shown" in answer.text
    found.close()


def _n_panes(found: World) -> int:
    with found.wired.ledger.read() as tx:
        return int(tx.execute(text("SELECT count(*) FROM pane")).scalar_one())
