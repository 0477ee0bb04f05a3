"""The API and the exporter over a real ledger; operations are recorded by a stand-in for the pipeline."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from daemon.settings import Settings
from daemon.show.api import create_api
from daemon.show.exporter import Exporter
from daemon.show.metrics import LABELS, METRICS
from daemon.show.operations import Done
from daemon.show.snapshot import snapshot
from daemon.show.views import Health, Snapshot
from daemon.store import champions, controls, counters, incidents, outbox, runs, tables, verdicts
from daemon.store.ledger import Ledger
from detectors.fairness.groups import GroupFigure, GroupRate
from detectors.types import EDetectorValue, EValue, Outcome, PValue, Score, Verdict
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1_800_000_000.0
MODEL = "support-sentiment"


def settings(folder: Path, **http: Any) -> Settings:
    model = {"name": MODEL, "task": "text-classification", "labels": ["negative", "positive"], "columns": {"text": "text"}}
    return Settings.model_validate({"data_dir": str(folder), "http": http, "models": [model]})


class Recorded:
    """Operations that are written down; `fails` is raised instead of doing."""

    def __init__(self, ledger: Ledger, kept: Settings) -> None:
        self.ledger, self.settings, self.calls, self.fails = ledger, kept, [], None
        self.health = Health(started_at=NOW - 100.0, last_tick_at=NOW - 1.0, ticks=7, tick_s=0.25)

    def snapshot(self) -> Snapshot:
        with self.ledger.begin() as tx:
            return snapshot(tx, self.settings, NOW, self.health)

    def __getattr__(self, name: str) -> Any:
        def call(model: str, **asked: Any) -> Done:
            if self.fails is not None:
                raise self.fails
            self.calls.append((name, model, asked))
            return Done(model=model, what=f"{name} done")

        return call


def verdict(detector: str, evidence: Any, outcome: Outcome = Outcome.OK) -> Verdict:
    because = "the text moved away from the reference"
    return Verdict(
        detector=detector, subject="input.text", outcome=outcome, evidence=evidence, value=0.2, low=0.1, high=0.3, n=50, because=because
    )


@pytest.fixture
def ledger(new_database: Callable[[], str]) -> Iterator[Ledger]:
    opened = Ledger(new_database())
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def told(ledger: Ledger, tmp_path: Path) -> Recorded:
    """A model in the middle of an incident with a run, behind the API."""
    with ledger.begin() as tx:
        champions.adopt(tx, MODEL, "1", now=NOW - 5000.0, because="first seen", reference_path="ref", reference_digest="abc")
        found = [
            verdict("text_witness", EDetectorValue(log10_e=float("inf"), alpha=0.001, delta=0.01), Outcome.ALARM),
            verdict("risk", EValue(log10_e=1.5, alpha=0.01)),
            verdict("ks", PValue(p=0.03, alpha=0.01)),
            verdict("psi", Score(distance=0.05, limit=0.2)),
        ]
        verdicts.save(tx, MODEL, found, at=NOW - 30.0, epoch=1)
        subject = {"text_witness:input.text": {"detector": "text_witness", "subject": "input.text", "kind": "drift"}}
        incidents.open_incident(tx, incident_id="inc-1", model=MODEL, epoch=1, now=NOW - 60.0, subjects=subject, harmful=False)
        trigger = {"subject": "risk", "detector": "risk_change", "because": "loss rose", "at": "2027-01-15T08:00:00Z", "incident": "inc-1"}
        folder = str(tmp_path / "run-1")
        runs.create(
            tx, run_id="run-1", model=MODEL, trigger=trigger, champion_version="1", folder=folder, now=NOW - 50.0, because="loss rose"
        )
        counted = {("accepted", "records"): 93, ("records", "stored"): 90, ("records", "late"): 3, ("labels", "stored"): 40}
        counters.add(tx, MODEL, {**counted, ("joins", "joined"): 38, ("alarms", "text_witness"): 1})
        counters.add(tx, MODEL, {("champion_moves", "promoted"): 1, ("aliases", "undone"): 4, ("ended_runs", "failed"): 2})
        counters.add(tx, "", {("records", "unreadable"): 6, ("notifications", "given_up"): 3})
        outbox.put(tx, key="report:inc-1", model=MODEL, kind="report", payload={"incident": "inc-1"}, now=NOW - 20.0)
        outbox.put(tx, key="send:inc-1", model=MODEL, kind="send", payload={}, now=NOW - 15.0)
    return Recorded(ledger, settings(tmp_path))


def client(told: Recorded, base_url: str = "http://127.0.0.1:8420", **http: Any) -> TestClient:
    kept = told.settings.model_copy(update={"http": settings(told.settings.data_dir, **http).http})
    return TestClient(create_api(told, kept, told.ledger, now=lambda: NOW), base_url=base_url, raise_server_exceptions=True)


def test_a_model_shows_champion_epoch_window_verdicts_incidents_and_runs(told: Recorded) -> None:
    body = client(told).get(f"/v1/models/{MODEL}").json()
    assert body["champion"]["version"] == "1"
    assert body["epoch"] == {**body["epoch"], "epoch": 1, "is_learning": False, "learned_ratio": 1.0, "reference_digest": "abc"}
    assert body["window"]["n_seen"] == 0
    by_name = {v["detector"]: v for v in body["verdicts"]}
    assert by_name["text_witness"]["outcome"] == "alarm"
    assert by_name["text_witness"]["evidence"]["log10_e"] == 1e6
    assert by_name["risk"]["evidence"] == {**by_name["risk"]["evidence"], "kind": "e_value", "log10_e": 1.5, "limit": 2.0}
    assert by_name["ks"]["evidence"]["p"] == 0.03
    assert by_name["psi"]["evidence"]["distance"] == 0.05
    assert body["incidents"][0]["subjects"]["text_witness:input.text"]["kind"] == "drift"
    assert body["incidents"][0]["report"] is None
    assert body["runs"][0]["trigger"]["because"] == "loss rose"
    assert body["counters"]["records"] == {"stored": 90, "late": 3}


def test_the_salt_of_a_runs_split_is_not_shown(told: Recorded) -> None:
    with told.ledger.begin() as tx:
        run = runs.active(tx, MODEL)
        assert run is not None
        runs.keep(tx, run.id, expected=run.state, detail={"salt": "5ec4e7", "smallest_gain": 0.1})
    answer = client(told).get(f"/v1/models/{MODEL}")
    assert "5ec4e7" not in answer.text
    assert answer.json()["runs"][0]["detail"]["smallest_gain"] == 0.1


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_beyond_every_question_is_not_read(told: Recorded, *, has_length: bool) -> None:
    body = b'{"by": "Ada", "because": "' + b"x" * 100_000 + b'"}'
    content = body if has_length else iter([body[:50_000], body[50_000:]])
    answer = client(told).post(f"/v1/models/{MODEL}/pause", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "at most 65536 bytes" in answer.json()["detail"]
    assert not told.calls


def test_nul_which_postgresql_keeps_nowhere_is_refused_at_the_door(told: Recorded) -> None:
    for ask in ({"by": "A\0da"}, {"by": "Ada", "because": "\0"}, {"by": "Ada", "version": "1\0"}):
        assert client(told).post(f"/v1/models/{MODEL}/rollback", json=ask).status_code == 422
    for path in ("/v1/incidents/a%00b", "/incidents/a%00b", "/runs/%00", "/reports/%00", "/v1/models/%00"):
        assert client(told).get(path).status_code == 404
    assert not told.calls


def test_instants_are_iso_8601_on_the_wire_and_durations_are_numbers(told: Recorded) -> None:
    body = client(told).get(f"/v1/models/{MODEL}").json()
    assert body["at"] == "2027-01-15T08:00:00.000Z"
    assert body["incidents"][0]["opened_at"] == "2027-01-15T07:59:00.000Z"
    assert client(told).get("/healthz").json()["service"]["tick_s"] == 0.25


def test_the_list_of_models_names_what_alarms_and_what_runs(told: Recorded) -> None:
    (model,) = client(told).get("/v1/models").json()["models"]
    assert (model["alarms"], model["incident"], model["run"]) == (["input.text"], "inc-1", {"id": "run-1", "state": "planned"})


def test_a_verdict_of_an_earlier_epoch_is_not_shown(told: Recorded) -> None:
    with told.ledger.begin() as tx:
        champions.adopt(tx, MODEL, "2", now=NOW - 10.0, because="moved by hand")
    body = client(told).get(f"/v1/models/{MODEL}").json()
    assert (body["verdicts"], body["epoch"]["is_learning"]) == ([], True)


def test_a_model_that_has_seen_nothing_is_shown_as_learning(ledger: Ledger, tmp_path: Path) -> None:
    told = Recorded(ledger, settings(tmp_path))
    body = client(told).get(f"/v1/models/{MODEL}").json()
    assert (body["champion"], body["window"], body["runs"]) == (None, None, [])
    assert client(told).get("/v1/models").json()["models"][0]["is_learning"] is True


def test_an_unknown_model_is_404_and_says_which_exist(told: Recorded) -> None:
    for answer in (client(told).get("/v1/models/nope"), client(told).post("/v1/models/nope/pause", json={})):
        assert answer.status_code == 404
        assert MODEL in answer.json()["detail"]


def test_operations_carry_the_persons_name_and_reason(told: Recorded) -> None:
    api = client(told)
    person = {"by": "ada", "because": "looked at it"}
    assert api.post(f"/v1/models/{MODEL}/approve", json={**person, "run": "run-1"}).json()["what"] == "approve done"
    assert api.post(f"/v1/models/{MODEL}/rollback", json=person).status_code == 200
    assert api.post(f"/v1/models/{MODEL}/retrain", json={}).status_code == 200
    assert told.calls == [
        ("approve", MODEL, {"run": "run-1", **person}),
        ("rollback", MODEL, {"version": None, **person}),
        ("retrain", MODEL, {"by": "someone", "because": ""}),
    ]


@pytest.mark.parametrize("what", ["approve", "cancel", "promote", "rollback", "absorb", "absorb/undo"])
def test_decisions_for_which_somebody_answers_need_a_name(told: Recorded, what: str) -> None:
    answer = client(told).post(f"/v1/models/{MODEL}/{what}", json={"because": "it is time"})
    assert answer.status_code == 422
    assert told.calls == []


@pytest.mark.parametrize(("reason", "status"), [(Reason.NOT_FOUND, 404), (Reason.CONFLICT, 409), (Reason.REFUSED, 409)])
def test_what_can_never_be_done_says_why(told: Recorded, reason: Reason, status: int) -> None:
    told.fails = Permanent(reason, "the gates rejected it")
    answer = client(told).post(f"/v1/models/{MODEL}/promote", json={"by": "ada"})
    assert (answer.status_code, answer.json()) == (status, {"detail": "the gates rejected it", "reason": str(reason)})


def test_what_may_work_later_is_503_with_retry_after(told: Recorded) -> None:
    told.fails = Transient(Reason.UNAVAILABLE, "the ledger is locked", retry_after_s=3.0)
    answer = client(told).post(f"/v1/models/{MODEL}/pause", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")


def test_with_a_token_operating_needs_it_and_looking_does_not(told: Recorded) -> None:
    api = client(told, host="0.0.0.0", token="s3cret")
    path = f"/v1/models/{MODEL}/pause"
    assert api.get(f"/v1/models/{MODEL}").status_code == 200
    assert api.post(path, json={}).status_code == 401
    assert api.post(path, json={}, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert api.post(path, json={}, headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_off_loopback_without_a_token_nobody_operates(told: Recorded) -> None:
    answer = client(told, host="0.0.0.0").post(f"/v1/models/{MODEL}/pause", json={})
    assert answer.status_code == 403
    assert "RETUNED_TOKEN" in answer.json()["detail"]


def test_no_web_page_operates_a_service_on_loopback(told: Recorded) -> None:
    path = f"/v1/models/{MODEL}/pause"
    assert client(told).post(path, json={}, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client(told, base_url="http://rebound.example:8420").post(path, json={}).status_code == 403
    assert client(told).post(path, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 422
    assert told.calls == []
    assert client(told).post(path, json={}, headers={"Origin": "http://127.0.0.1:8420"}).status_code == 200


def test_health_says_when_ticks_have_stopped_and_readiness_what_is_missing(told: Recorded) -> None:
    assert client(told).get("/healthz").status_code == 200
    assert client(told).get("/readyz").json() == {"ready": True, "missing": []}
    set_back = {"last_tick_at": NOW + 86_400.0}  # the clock was, since
    told.health = replace(told.health, **set_back, quiet_s=1000.0, not_ready=("the registry does not answer",))
    assert client(told).get("/healthz").status_code == 503
    answer = client(told).get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["the registry does not answer"])


def test_a_report_is_served_in_a_sandbox_and_never_from_outside_the_data_folder(told: Recorded) -> None:
    api = client(told)
    assert api.get("/reports/inc-1").status_code == 404
    report = told.settings.data_dir / "reports" / "inc-1.html"
    report.parent.mkdir()
    report.write_text("<html>window against reference</html>")
    with told.ledger.begin() as tx:
        incidents.attach_report(tx, "inc-1", "reports/inc-1.html")
    answer = api.get("/reports/inc-1")
    assert "window against reference" in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    (told.settings.data_dir.parent / "secret.html").write_text("secret")
    with told.ledger.begin() as tx:
        incidents.attach_report(tx, "inc-1", "../secret.html")
    assert api.get("/reports/inc-1").status_code == 404
    assert api.get("/reports/..%2Fledger.db").status_code == 404


class Item(msgspec.Struct):
    """Stands for a record."""

    id: str


def test_openapi_documents_the_raw_ingest_routes_too(told: Recorded) -> None:
    app = create_api(told, told.settings, told.ledger, ingest={"/v1/records": Item})
    schema = TestClient(app).get("/openapi.json").json()
    body = schema["paths"]["/v1/records"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-ndjson"}
    assert body["application/json"]["schema"]["oneOf"][0] == {"$ref": "#/components/schemas/Item"}
    assert schema["components"]["schemas"]["Item"]["required"] == ["id"]
    assert "/v1/models/{name}/rollback" in schema["paths"]


def test_the_exporter_shows_every_figure_with_its_interval_and_evidence(told: Recorded) -> None:
    value = Exporter(told.snapshot).registry.get_sample_value
    on = {"model": MODEL, "detector": "risk", "subject": "input.text"}
    assert [value("retuned_figure_value", {**on, "bound": b}) for b in ("value", "low", "high")] == [0.2, 0.1, 0.3]
    assert value("retuned_figure_records", on) == 50
    assert value("retuned_figure_window_end_timestamp_seconds", on) == NOW - 30.0
    assert (value("retuned_evidence_log10", on), value("retuned_evidence_limit_log10", on)) == (1.5, 2.0)
    alarming = {**on, "detector": "text_witness"}
    assert value("retuned_figure_outcome_state", {**alarming, "outcome": "alarm"}) == 1.0
    assert value("retuned_figure_outcome_state", {**alarming, "outcome": "ok"}) == 0.0
    assert value("retuned_evidence_pvalue_ratio", {**on, "detector": "ks"}) == 0.03


def test_the_exporter_counts_traffic_decisions_and_itself(told: Recorded) -> None:
    told.health = replace(
        told.health,
        rejected_records={"malformed": 2},
        alias_lag_s={MODEL: 4.0},
        failures={"timeout": 5},
        blind={MODEL: frozenset({"label"})},
    )
    value = Exporter(told.snapshot).registry.get_sample_value
    model = {"model": MODEL}
    assert value("retuned_records_total", {**model, "outcome": "stored", "reason": "stored"}) == 90
    assert value("retuned_records_total", {**model, "outcome": "dropped", "reason": "late"}) == 3
    assert value("retuned_records_total", {"model": "", "outcome": "rejected", "reason": "malformed"}) == 2
    assert value("retuned_labels_total", {**model, "outcome": "stored", "reason": "stored"}) == 40
    assert value("retuned_label_joins_total", {**model, "state": "joined"}) == 38
    assert value("retuned_read_records_total", model) == 93
    assert value("retuned_records_total", {"model": "", "outcome": "dropped", "reason": "unreadable"}) == 6
    assert [value("retuned_alarms_total", {**model, "detector": d}) for d in ("text_witness", "risk", "ks")] == [1, 0, None]
    assert value("retuned_triggers_total", {**model, "reason": "performance"}) == 0  # a rule sees the first one happen
    assert value("retuned_runs", {**model, "state": "planned"}) == 1
    assert value("retuned_runs", {**model, "state": "kept"}) == 0
    assert value("retuned_open_incidents", model) == 1
    assert value("retuned_incident_subjects", {**model, "detector": "text_witness"}) == 1
    assert (value("retuned_outbox_queue_messages", model), value("retuned_outbox_lag_seconds", model)) == (2, 20.0)
    assert value("retuned_alias_lag_seconds", model) == 4.0
    assert value("retuned_failures_total", {"reason": "timeout"}) == 5
    assert (value("retuned_tick_seconds"), value("retuned_ticks_total", {"outcome": "ok"})) == (0.25, 7)
    assert value("retuned_run_entered_timestamp_seconds", {**model, "state": "planned"}) == NOW - 50.0
    assert [value("retuned_ended_runs_total", {**model, "state": s}) for s in ("failed", "kept")] == [2, 0]
    assert [value("retuned_champion_moves_total", {**model, "reason": r}) for r in ("promoted", "rolled_back", "adopted")] == [1, 0, 0]
    assert [value("retuned_alias_moves_total", {**model, "reason": r}) for r in ("undone", "restored")] == [4, 0]
    assert [value("retuned_blind_state", {**model, "reason": r}) for r in ("verdict", "label")] == [0, 1]
    assert value("retuned_served_ratio", model) is None
    assert value("retuned_notifications_total", {"outcome": "given_up"}) == 3
    assert value("retuned_notification_lag_seconds") == 15.0
    assert value("process_resident_memory_bytes") > 1e6
    assert value("retuned_service_info", {"external_url": "http://127.0.0.1:8420", "version": version("retuned")}) == 1.0


def test_the_share_that_the_champion_answers_is_of_the_newest_records_since_it_became_champion(told: Recorded) -> None:
    panes = [("0", NOW - 5060.0, 99), ("1", NOW - 4000.0, 99), ("0", NOW - 120.0, 30), ("1", NOW - 120.0, 8), ("1", NOW - 60.0, 2)]
    columns = ("model", "version", "start", "end", "seq", "n_seen", "n", "n_pairs", "sketches")
    rows = [(MODEL, version, start, start + 60.0, 0, n, n, 0, b"") for version, start, n in panes]
    with told.ledger.begin() as tx:
        tx.execute(insert(tables.pane), [dict(zip(columns, row, strict=True)) for row in rows])
    value = Exporter(told.snapshot).registry.get_sample_value
    assert value("retuned_served_ratio", {"model": MODEL}) == 0.25
    assert value("retuned_newest_record_timestamp_seconds", {"model": MODEL}) == NOW


def test_label_coverage_is_of_the_records_of_the_window_whenever_their_label_came(told: Recorded) -> None:
    """Labels a day late: of the window's ten records two have one, of those of yesterday, whose labels came just now, all three."""
    panes = [(1, "1", NOW - 86_400.0, 3), (2, "1", NOW - 120.0, 6), (3, "1", NOW - 60.0, 4), (4, "2", NOW - 60.0, 9)]
    columns = ("id", "version", "start", "n")
    with told.ledger.begin() as tx:
        for row in (dict(zip(columns, values, strict=True)) for values in panes):
            n = row["n"]
            tx.execute(insert(tables.pane).values(**row, model=MODEL, end=row["start"] + 60.0, seq=0, n_seen=n, n_pairs=n, sketches=b""))
        joined = [(1, 0), (1, 1), (1, 2), (2, 4), (3, 0), (4, 1), (None, None)]
        labels = [
            {"key": bytes([i]) * 16, "record_id": str(i), "state": "waiting" if pane is None else "joined", "pane_id": pane, "row": row}
            for i, (pane, row) in enumerate(joined)
        ]
        said = {"model": MODEL, "at": NOW, "received_at": NOW, "value": {"label": "positive"}, "source": "human", "joined_at": NOW}
        tx.execute(insert(tables.label), [{**said, **label} for label in labels])
    value = Exporter(told.snapshot).registry.get_sample_value
    found = [value(f"retuned_window_{what}_records", {"model": MODEL}) for what in ("labelled", "sampled")]
    assert found == [2, 10]
    window = told.snapshot().models[0].window
    assert window is not None
    assert (window.n_labelled, window.n_pairs) == (2, 10)


def test_the_exporter_shows_the_disk_what_is_kept_and_what_was_removed(told: Recorded) -> None:
    told.health = replace(told.health, disk_free_bytes=7, disk_is_low=True, kept_bytes={MODEL: 9})
    with told.ledger.begin() as tx:
        counters.add(tx, MODEL, {("pruned", "age"): 5})
    value = Exporter(told.snapshot).registry.get_sample_value
    model = {"model": MODEL}
    assert (value("retuned_disk_free_bytes"), value("retuned_disk_low_state"), value("retuned_kept_bytes", model)) == (7, 1.0, 9)
    assert [value("retuned_pruned_bytes_total", {**model, "reason": reason}) for reason in ("age", "bytes")] == [5, 0]


def test_the_exporter_shows_limits_the_newest_run_and_the_delay_of_labels(told: Recorded) -> None:
    held_to = replace(verdict("f1_floor", EDetectorValue(log10_e=0.5, alpha=0.01)), limit=0.8)
    with told.ledger.begin() as tx:
        verdicts.save(tx, MODEL, [held_to], at=NOW, epoch=1)
        counters.add(tx, MODEL, {("label_delay", "60"): 3, ("label_delay", "inf"): 1, ("label_delay", "sum_ms"): 90_500})
    value = Exporter(told.snapshot).registry.get_sample_value
    model = {"model": MODEL}
    assert value("retuned_figure_limit", {**model, "detector": "f1_floor", "subject": "input.text"}) == 0.8
    assert value("retuned_figure_limit", {**model, "detector": "ks", "subject": "input.text"}) is None
    assert value("retuned_last_run_entered_timestamp_seconds", {**model, "state": "planned"}) == NOW - 50.0
    assert [value("retuned_label_delay_seconds_bucket", {**model, "le": le}) for le in ("10", "60", "600", "+Inf")] == [0, 3, 3, 4]
    assert (value("retuned_label_delay_seconds_count", model), value("retuned_label_delay_seconds_sum", model)) == (4, 90.5)


def test_a_champion_whose_version_is_no_number_has_no_number(told: Recorded) -> None:
    value = Exporter(told.snapshot).registry.get_sample_value
    assert value("retuned_champion_version_number", {"model": MODEL}) == 1
    with told.ledger.begin() as tx:
        champions.adopt(tx, MODEL, "2026-11-spring", now=NOW, because="somebody's own")
    assert value("retuned_champion_version_number", {"model": MODEL}) is None


def test_the_exporter_shows_the_rates_of_groups(told: Recorded) -> None:
    figure = GroupFigure(column="age_band", group="old", rate=GroupRate.TRUE_POSITIVE, is_shrunk=False, value=0.8, low=0.7, high=0.9, n=40)
    told.health = replace(told.health, groups={MODEL: [figure, replace(figure, group="young", is_shrunk=True, n=3)]})
    value = Exporter(told.snapshot).registry.get_sample_value
    for group, name, other, n in (("old", "ratio", "shrunk_ratio", 40), ("young", "shrunk_ratio", "ratio", 3)):
        on = {"model": MODEL, "column": "age_band", "group": group, "rate": "true_positive"}
        assert [value(f"retuned_group_rate_{name}", {**on, "bound": b}) for b in ("value", "low", "high")] == [0.8, 0.7, 0.9]
        assert value(f"retuned_group_rate_{other}", {**on, "bound": "value"}) is None
        assert value("retuned_group_rate_records", on) == n


def test_a_paused_model_is_shown_with_the_reason(told: Recorded) -> None:
    with told.ledger.begin() as tx:
        controls.pause(tx, MODEL, by="ada", because="holidays", now=NOW)
    assert client(told).get(f"/v1/models/{MODEL}").json()["paused_because"] == "ada: holidays"
    assert Exporter(told.snapshot).registry.get_sample_value("retuned_paused_state", {"model": MODEL}) == 1.0


def test_every_metric_of_the_table_is_exported_with_closed_labels(told: Recorded) -> None:
    text = client(told).get("/metrics").text
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.type}" in text, metric.name
        assert set(metric.labels) <= LABELS


def test_links_begin_with_the_external_url_or_else_with_the_listening_address(tmp_path: Path) -> None:
    here = settings(tmp_path, port=0).bound_to(1234)
    assert here.http.url == here.http.listening == "http://127.0.0.1:1234"
    assert settings(tmp_path, host="::1").http.url == "http://[::1]:8420"
    assert settings(tmp_path, external_url="https://ops.example.org/retuned").http.url == "https://ops.example.org/retuned"
    for bad in ("ftp://x", "https://", "https://x/", "https://x/y/", "https://x/?q", "https://a b"):
        with pytest.raises(ValueError, match="external_url"):
            settings(tmp_path, external_url=bad)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (make packages)")
def test_promtool_finds_nothing_to_say_about_the_metrics(told: Recorded) -> None:
    told.health = replace(told.health, rejected_records={"malformed": 2}, rejected_labels={"missing": 1})
    text = client(told).get("/metrics").content
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")
