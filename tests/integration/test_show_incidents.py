"""Incidents over HTTP, on the wired service (its ledger filled by hand, nothing ticks): operations, guard, and what is exported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from daemon.settings import Settings
from daemon.store import incidents
from daemon.wiring import Wired, build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "support-sentiment"
ADA = {"by": "ada", "because": "a campaign began"}


def _wired(folder: Path, **http: Any) -> Wired:
    model = {"name": MODEL, "task": "text-classification", "labels": ["negative", "positive"], "columns": {"text": "text"}}
    return build(Settings.model_validate({"data_dir": str(folder), "http": http, "models": [model]}))


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[Wired]:
    made = _wired(tmp_path)
    yield made
    made.close()


@pytest.fixture
def http(wired: Wired) -> TestClient:
    return TestClient(wired.app, base_url="http://127.0.0.1:8420")


def _opened(wired: Wired, incident_id: str, *, harmful: bool = False) -> None:
    now = datetime.now(UTC).timestamp()
    with wired.ledger.begin() as tx:
        subjects = {"ks:x": {"detector": "ks", "subject": "x", "kind": "drift", "first_at": now, "last_at": now, "because": "it moved"}}
        incidents.open_incident(tx, incident_id=incident_id, model=MODEL, epoch=1, now=now, subjects=subjects, harmful=harmful)
    wired.pipeline.show(now)


def _exported(http: TestClient, name: str, **labels: str) -> float | None:
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = [s for family in families for s in family.samples if s.name == f"retuned_{name}"]
    found = [s.value for s in samples if {**s.labels, **labels, "model": MODEL} == s.labels]
    assert len(found) <= 1
    return found[0] if found else None


def test_an_incident_is_acknowledged_muted_and_closed_and_the_states_follow(wired: Wired, http: TestClient) -> None:
    states = ("harmful", "acknowledged", "muted")
    assert [_exported(http, f"incident_{s}_state") for s in states] == [0.0, 0.0, 0.0]
    assert _exported(http, "incident_opened_timestamp_seconds") is None
    _opened(wired, "i", harmful=True)
    assert http.post("/v1/incidents/i/acknowledge", json=ADA).json()["what"] == "incident i is acknowledged by ada"
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert http.post("/v1/incidents/i/mute", json={**ADA, "until": until}).status_code == 200
    assert [_exported(http, f"incident_{s}_state") for s in states] == [1.0, 1.0, 1.0]
    assert (_exported(http, "incident_opened_timestamp_seconds") or 0.0) > 1.7e9
    assert http.post("/v1/incidents/i/close", json={**ADA, "judged": "expected"}).status_code == 200
    assert [_exported(http, f"incident_{s}_state") for s in states] == [0.0, 0.0, 0.0]
    body = http.get("/v1/incidents/i").json()
    assert (body["model"], body["acknowledged_by"], body["judged"], body["note"]) == (MODEL, "ada", "expected", "a campaign began")
    assert body["muted_until"].endswith("Z")
    assert [e["kind"] for e in body["timeline"]][:2] == ["incident.opened", "incident.acknowledged"]


def test_precision_is_measured_on_judged_incidents_with_an_exact_interval_and_without_expected_ones(wired: Wired, http: TestClient) -> None:
    assert _exported(http, "alarm_precision_ratio", bound="value") is None
    for number, judged in enumerate(["real"] * 8 + ["false"] * 2 + ["expected"]):
        _opened(wired, f"i{number}")
        http.post(f"/v1/incidents/i{number}/close", json={**ADA, "judged": judged}).raise_for_status()
    bounds = [_exported(http, "alarm_precision_ratio", bound=bound) for bound in ("low", "value", "high")]
    assert bounds == pytest.approx([0.4439, 0.8, 0.9748], abs=5e-5)  # 8 of 10 in Clopper & Pearson's tables
    counted = {judged: _exported(http, "judged_incidents_total", outcome=judged) for judged in ("real", "false", "expected")}
    assert counted == {"real": 8.0, "false": 2.0, "expected": 1.0}


def test_a_second_word_is_409_and_a_wrong_one_422(wired: Wired, http: TestClient) -> None:
    _opened(wired, "i")
    assert http.post("/v1/incidents/i/close", json={**ADA, "judged": "real"}).status_code == 200
    again = http.post("/v1/incidents/i/close", json={**ADA, "by": "bob", "judged": "false"})
    assert (again.status_code, again.json()["detail"]) == (409, "incident i was judged real by ada")
    assert http.post("/v1/incidents/i/acknowledge", json=ADA).status_code == 409
    assert http.post("/v1/incidents/i/close", json={**ADA, "judged": "false", "replaces": "real"}).status_code == 200
    for wrong in ({"judged": "real"}, {**ADA, "judged": "perhaps"}, {**ADA, "by": " ", "judged": "real"}):
        assert http.post("/v1/incidents/i/close", json=wrong).status_code == 422
    assert http.post("/v1/incidents/i/mute", json={**ADA, "until": "2026-11-25T08:00:00"}).status_code == 422  # whose 8 o'clock?
    assert http.post("/v1/incidents/none/acknowledge", json=ADA).status_code == 404
    assert http.get("/v1/incidents/none").status_code == 404


def test_saying_something_of_an_incident_is_guarded_like_every_operation(tmp_path: Path) -> None:
    wired = _wired(tmp_path, host="0.0.0.0", token="s3cret")
    _opened(wired, "i")
    http = TestClient(wired.app, base_url="http://retuned.example")
    for what in ("acknowledge", "mute", "close"):
        assert http.post(f"/v1/incidents/i/{what}", json=ADA).status_code == 401
    assert http.post("/v1/incidents/i/acknowledge", json=ADA, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    wired.close()


def test_no_web_page_says_anything_of_an_incident_on_loopback(wired: Wired, http: TestClient) -> None:
    _opened(wired, "i")
    answer = http.post("/v1/incidents/i/acknowledge", json=ADA, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert http.get("/v1/incidents/i").json()["acknowledged_by"] is None
