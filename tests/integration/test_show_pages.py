"""The pages over HTTP on the wired service (its ledger filled by hand, nothing ticks): what they show, to whom, and what they refuse."""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi.testclient import TestClient

from daemon.settings import Settings
from daemon.store import champions, controls, incidents, runs, verdicts
from daemon.store.ledger import note
from daemon.wiring import Wired, build
from detectors.types import EDetectorValue, Outcome, Verdict
from retrain.gates.record import record_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODEL, TOKEN = "support", "s3cret"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
LOCAL = "http://127.0.0.1:8420"


def _wired(folder: Path, **http: Any) -> Wired:
    model = {"name": MODEL, "task": "text-classification", "labels": ["no", "yes"], "columns": {"text": "text"}}
    model["retrain"] = {"base_model": str(folder)}
    made = build(Settings.model_validate({"data_dir": str(folder), "http": http, "models": [model]}))
    _fill(made, time.time())
    return made


def _fill(wired: Wired, now: float) -> None:
    """Two versions, an alarm, an open incident, and a run that waits for approval; every text from outside is hostile."""
    subject = {"detector": "text_witness", "subject": HOSTILE, "kind": "drift", "first_at": now, "last_at": now, "because": HOSTILE}
    evidence = EDetectorValue(log10_e=7.0, alpha=1e-5, delta=0.01)
    said = Verdict(
        detector="text_witness",
        subject=HOSTILE,
        outcome=Outcome.ALARM,
        evidence=evidence,
        value=0.9,
        low=0.8,
        high=1.0,
        n=60,
        because=HOSTILE,
    )
    gate = {
        "name": "superiority",
        "subject": "recent",
        "outcome": "insufficient",
        "because": HOSTILE,
        "value": 0.1,
        "low": 0.0,
        "high": 0.2,
    }
    record = {"passed": False, "inconclusive": True, "gates": [{**gate, "n": 10}]}
    with wired.ledger.begin() as tx:
        champions.adopt(tx, MODEL, "1", now=now - 900.0, because="first", reference_path="ref", reference_digest="abc")
        champions.move_champion(tx, MODEL, "2", expected_revision=1, now=now - 600.0, because=HOSTILE)
        verdicts.save(tx, MODEL, [said], at=now, epoch=2)
        incidents.open_incident(
            tx, incident_id="inc-1", model=MODEL, epoch=2, now=now - 60.0, subjects={"text_witness:x": subject}, harmful=False
        )
        trigger = {"kind": "manual", "subject": HOSTILE, "detector": "d", "because": HOSTILE, "at": now, "incident": "inc-1"}
        runs.create(tx, run_id="run-1", model=MODEL, trigger=trigger, champion_version="2", folder="run-1", now=now - 50.0, because=HOSTILE)
        before = "planned"
        for state in ("collecting", "dataset", "training", "evaluating", "gated", "awaiting_approval"):
            extra = {"record": {**record, "digest": record_digest(record)}} if state == "awaiting_approval" else {}
            runs.enter(tx, "run-1", state, expected=before, now=now - 40.0, because=HOSTILE, **extra)
            before = state
        controls.pause(tx, MODEL, by=HOSTILE, because=HOSTILE, now=now)
    wired.pipeline.show(now)


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[Wired]:
    made = _wired(tmp_path)
    yield made
    made.close()


@pytest.fixture
def http(wired: Wired) -> TestClient:
    return TestClient(wired.app, base_url=LOCAL, follow_redirects=False)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """A browser at a service off loopback, with a token unless told otherwise."""
    made: list[Wired] = []

    def browser(base_url: str = "http://retuned.example:8420", **http: Any) -> TestClient:
        made.append(_wired(tmp_path, **{"host": "0.0.0.0", "token": TOKEN, **http}))
        return TestClient(made[-1].app, base_url=base_url, follow_redirects=False)

    yield browser
    for wired in made:
        wired.close()


PATHS = ("/", f"/models/{MODEL}", "/incidents/inc-1", "/runs/run-1")


def _token(page: httpx.Response) -> str:
    found = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
    assert found is not None, "the page has no form"
    return found.group(1)


def _form(http: TestClient, path: str, **fields: str) -> dict[str, str]:
    return {"token": _token(http.get(path)), "by": "ada", "because": "I looked", **fields}


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.unlabelled: list[str] = []
        self._in_label = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self._in_label = self._in_label or tag == "label"
        if tag in {"input", "select", "textarea"} and not self._in_label and ("type", "hidden") not in attrs:
            self.unlabelled.append(str(attrs))
        if tag == "th" and "scope" not in dict(attrs):
            self.unlabelled.append(f"th {attrs}")

    def handle_endtag(self, tag: str) -> None:
        self._in_label = self._in_label and tag != "label"


def test_no_text_from_outside_becomes_a_tag_on_any_page(http: TestClient) -> None:
    for path in PATHS:
        page = http.get(path)
        assert page.status_code == 200
        tags = _Tags(page.text)
        assert not {"script", "img"} & tags.names.keys(), path
        assert not {name for name in tags.attributes if name.startswith("on") or name == "style"}, path
        assert path == "/" or "&lt;script&gt;" in page.text, f"{path} shows no hostile text: this proves nothing"


def test_every_page_can_be_read_by_a_screen_reader(http: TestClient) -> None:
    for path in (*PATHS, "/signin", "/models/none"):
        tags = _Tags(http.get(path).text)
        assert (tags.names["h1"], tags.names["main"], tags.names["nav"], tags.unlabelled) == (1, 1, 1, []), path


def test_every_page_forbids_scripts_frames_and_caches(http: TestClient) -> None:
    for path in (*PATHS, "/signin", "/models/none", "/incidents/none", "/runs/none"):
        headers = http.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';"), path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
        assert headers["cache-control"] == "no-store"


def test_pages_say_what_is_not_there_in_html(http: TestClient) -> None:
    for path in ("/models/none", "/models/none/incident", "/incidents/none", "/runs/none", "/pages/secret.txt"):
        page = http.get(path)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert http.get("/pages/page.css").headers["content-type"].startswith("text/css")


def test_alerts_link_to_the_open_incident_else_to_the_newest_else_to_the_model(wired: Wired, http: TestClient) -> None:
    assert http.get(f"/models/{MODEL}/incident").headers["location"] == "/incidents/inc-1"
    http.post("/incidents/inc-1/close", data=_form(http, "/incidents/inc-1", judged="false"))
    assert http.get(f"/models/{MODEL}/incident").headers["location"] == "/incidents/inc-1"
    with wired.ledger.begin() as tx:
        tx.exec_driver_sql("DELETE FROM incident")
    wired.pipeline.show(time.time())
    assert http.get(f"/models/{MODEL}/incident").headers["location"] == f"/models/{MODEL}"


def test_a_person_cancels_a_run_that_waits(http: TestClient) -> None:
    assert "Cancel this run" in http.get("/runs/run-1").text
    done = http.post("/runs/run-1/cancel", data=_form(http, "/runs/run-1"))
    page = http.get(done.headers["location"]).text
    assert "run run-1 is cancelled by ada" in page
    assert "Cancel this run" not in page
    assert http.post("/runs/run-1/approve", data=_form(http, f"/models/{MODEL}")).status_code == 409


def test_a_person_approves_a_run_once_and_a_second_click_gets_a_sentence(wired: Wired, http: TestClient) -> None:
    form = _form(http, "/runs/run-1")
    done = http.post("/runs/run-1/approve", data=form)
    assert (done.status_code, done.headers["location"].partition("?")[0]) == (303, "/runs/run-1")
    assert "run run-1 is approved by ada" in http.get(done.headers["location"]).text
    assert "is approved by ada" not in http.get(done.headers["location"]).text, "a sentence is shown once"
    again = http.post("/runs/run-1/approve", data={**form, "by": "bob"})
    assert (again.status_code, "approved already, by ada" in again.text) == (409, True)
    with wired.ledger.read() as tx:
        run = runs.run(tx, "run-1")
    assert run is not None
    assert run.approved_by == "ada"


def test_a_hundred_alarms_do_not_hide_what_the_service_decided(wired: Wired, http: TestClient) -> None:
    with wired.ledger.begin() as tx:
        note(tx, 1.0, MODEL, "decision", decision="hold", because="run run-1 is awaiting approval")
        for number in range(120):
            note(tx, 2.0, MODEL, "alarm", detector="conformal_numeric", subject=f"input.x{number}", because="it moved")
    wired.pipeline.show(3.0)
    assert "hold: run run-1 is awaiting approval" in http.get(f"/models/{MODEL}").text


def test_an_incident_of_many_columns_in_many_segments_can_be_read(wired: Wired, http: TestClient) -> None:
    now, about = time.time(), ["input.x", *(f"input.c{c}[shop=s{s}]" for c in range(10) for s in range(4))]
    said = {"detector": "conformal_numeric", "kind": "drift", "first_at": now, "last_at": now, "because": "it moved"}
    with wired.ledger.begin() as tx:
        incidents.close(tx, "inc-1", now=now, because="quiet")
        for subject in about:
            note(
                tx,
                now,
                MODEL,
                "alarm",
                detector="conformal_numeric",
                subject=subject,
                value=0.9,
                low=0.8,
                high=1.0,
                n=60,
                because="it moved",
            )
        subjects = {f"conformal_numeric:{subject}": {**said, "subject": subject} for subject in about}
        incidents.open_incident(tx, incident_id="inc-2", model=MODEL, epoch=2, now=now, subjects=subjects, harmful=False)
        evidence = {"named": about, "over": {}, "log10_e": 9.0, "needed": 1.4, "is_confirmed": True}
        incidents.believe(tx, "inc-2", evidence, now=now)
    page = http.get("/incidents/inc-2").text
    assert "input.c7[shop=s2]" in page
    before, folded = page.split("<summary>40 of inputs within segments</summary>")
    assert "input.x" in before
    assert before.count("[shop=") == 11, "12 of 41 are named, the one of all records first"
    assert "and 29 more" in before
    assert "<summary>41 alarms</summary>" in folded


def test_an_incident_is_acknowledged_muted_and_closed_by_forms_and_precision_follows(http: TestClient) -> None:
    path = "/incidents/inc-1"
    assert http.post(f"{path}/acknowledge", data=_form(http, path)).status_code == 303
    until = re.search(r'<option value="([^"]+)"', http.get(path).text)
    assert until is not None
    assert http.post(f"{path}/mute", data=_form(http, path, until=until.group(1))).status_code == 303
    stale = _form(http, path, judged="real", replaces="")
    assert http.post(f"{path}/close", data=_form(http, path, judged="false", replaces="")).status_code == 303
    late = http.post(f"{path}/close", data={**stale, "by": "bob"})
    assert (late.status_code, "judged false by ada" in late.text) == (409, True)
    assert "0 of 1" in http.get(f"/models/{MODEL}").text
    assert http.post(f"{path}/close", data=_form(http, path, judged="real", replaces="false")).status_code == 303
    assert "1 of 1" in http.get(f"/models/{MODEL}").text


def test_a_model_is_resumed_and_rolled_back_but_not_from_a_page_that_is_out_of_date(wired: Wired, http: TestClient) -> None:
    path = f"/models/{MODEL}"
    assert http.post(f"{path}/resume", data=_form(http, path)).status_code == 303
    form = _form(http, path, champion="2", version="1")
    assert http.post(f"{path}/rollback", data=form).status_code == 303
    again = http.post(f"{path}/rollback", data=form)
    assert (again.status_code, "version 1 is champion now, not 2" in again.text) == (409, True)
    with wired.ledger.read() as tx:
        assert champions.barred(tx, MODEL).keys() == {"2"}
    barred = http.post(f"{path}/promote", data=_form(http, path, champion="1", version="2"))
    assert (barred.status_code, "barred" in barred.text) == (409, True)


@contextmanager
def held(wired: Wired) -> Iterator[None]:
    """Somebody else writes into the ledger and does not end."""
    connection = sqlite3.connect(wired.ledger.engine.url.database or "", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_a_ledger_that_another_program_holds_is_said_to_people_and_programs(
    wired: Wired, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.store.ledger._WAIT_MS", 50)
    wired.ledger.engine.dispose()  # its connections have the usual patience
    form = _form(http, f"/models/{MODEL}")
    with held(wired):
        page = http.post(f"/models/{MODEL}/pause", data=form)
        answer = http.post(f"/v1/models/{MODEL}/pause", json={"by": "ada"})
        assert http.get(f"/models/{MODEL}").status_code == 200
    assert page.status_code == answer.status_code == 503
    assert "The ledger does not answer or is held" in page.text
    assert answer.json()["reason"] == "unavailable"
    assert answer.headers["Retry-After"] == "5"
    assert http.post(f"/v1/models/{MODEL}/pause", json={"by": "ada"}).status_code == 200


def test_a_wrong_form_does_nothing_and_says_why(wired: Wired, http: TestClient) -> None:
    long = [({"by": "x" * 129}, 422), ({"because": "x" * 1001}, 422)]
    for fields, status in [({"by": ""}, 422), *long, ({"judged": "perhaps"}, 422), ({"token": "0" * 64}, 403), ({"token": "ü"}, 403)]:
        page = http.post("/incidents/inc-1/close", data=_form(http, "/incidents/inc-1", **{"judged": "real", **fields}))
        assert (page.status_code, "Not done" in page.text) == (status, True), fields
    with wired.ledger.read() as tx:
        kept = incidents.incident(tx, "inc-1")
    assert kept is not None
    assert kept.judged is None


def test_forms_are_bounded_and_of_one_kind(http: TestClient) -> None:
    path, kind = f"/models/{MODEL}/pause", {"Content-Type": "application/x-www-form-urlencoded"}
    assert http.post(path, json={}).status_code == 415
    assert http.post(path, content=b"because=" + b"x" * 20_000, headers=kind).status_code == 413
    assert http.post(path, content=b"&".join(b"a%d=1" % i for i in range(50)), headers=kind).status_code == 400
    assert http.post(path, content=b"a=\xff", headers=kind).status_code == 400
    mute = _form(http, "/incidents/inc-1", until="tomorrow")
    assert http.post("/incidents/inc-1/mute", data=mute).status_code == 422
    assert http.post("/incidents/inc-1/mute", data={**mute, "until": "2026-11-25T08:00"}).status_code == 422


def test_no_other_site_acts_through_a_visitors_browser(wired: Wired, http: TestClient) -> None:
    form = _form(http, f"/models/{MODEL}")
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        page = http.post(f"/models/{MODEL}/resume", data=form, headers={"Origin": origin})
        assert (page.status_code, "sent by another site" in page.text) == (403, True)
    rebound = TestClient(wired.app, base_url="http://rebound.example:8420")
    assert 'name="token"' not in rebound.get(f"/models/{MODEL}").text
    assert rebound.post(f"/models/{MODEL}/resume", data=form).status_code == 403
    assert http.get("/v1/models").json()["models"][0]["is_paused"]
    assert http.post(f"/models/{MODEL}/resume", data=form, headers={"Origin": LOCAL}).status_code == 303


def test_off_loopback_without_a_token_pages_are_shown_and_nobody_acts(guarded: Callable[..., TestClient]) -> None:
    http = guarded(token=None)
    page = http.get(f"/models/{MODEL}")
    assert "RETUNED_TOKEN" in page.text
    assert "<form" not in page.text
    assert http.post(f"/models/{MODEL}/resume", data={"token": "", "by": "eve"}).status_code == 403
    assert http.post("/signin", data={"token": "", "by": "eve"}).status_code == 409


def _sign_in(http: TestClient, *, token: str = TOKEN, after: str = "/", **headers: str) -> httpx.Response:
    return http.post("/signin", data={"token": token, "by": "ada", "next": after}, headers=headers)


def test_with_a_token_a_visitor_signs_in_acts_under_that_name_and_signs_out(guarded: Callable[..., TestClient]) -> None:
    http = guarded()
    assert "Sign in to act" in http.get(f"/models/{MODEL}").text
    assert http.post(f"/models/{MODEL}/resume", data={"token": "", "by": "eve"}).status_code == 403
    wrong = _sign_in(http, token="wrong")
    assert (wrong.status_code, "set-cookie" in wrong.headers, "not the token" in wrong.text) == (401, False, True)
    done = _sign_in(http, after=f"/models/{MODEL}")
    assert (done.status_code, done.headers["location"]) == (303, f"/models/{MODEL}")
    cookie = done.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert TOKEN not in cookie
    assert "secure" not in cookie
    assert http.post(f"/models/{MODEL}/resume", data=_form(http, f"/models/{MODEL}", by="eve")).status_code == 303
    events = http.get(f"/v1/models/{MODEL}").json()["events"]
    assert next(e for e in events if e["kind"] == "resumed")["data"]["by"] == "ada"
    form = _form(http, "/")
    assert http.post("/signout", data=form).status_code == 303
    assert "<form" not in http.get(f"/models/{MODEL}").text
    assert http.post(f"/models/{MODEL}/pause", data=form).status_code == 403


def test_a_stolen_form_is_of_no_use_in_another_session(guarded: Callable[..., TestClient]) -> None:
    http = guarded()
    _sign_in(http)
    stolen = _form(http, "/")
    _sign_in(http)
    assert http.post(f"/models/{MODEL}/resume", data=stolen).status_code == 403
    assert http.post(f"/models/{MODEL}/resume", data={**_form(http, "/")}).status_code == 303


def test_over_https_behind_a_proxy_the_cookie_is_secure_and_links_keep_the_path(guarded: Callable[..., TestClient]) -> None:
    http = guarded("http://ops.example", external_url="https://ops.example/retuned")
    done = _sign_in(http, after="/", Origin="https://ops.example")
    assert "secure" in done.headers["set-cookie"].lower()
    assert "path=/retuned;" in done.headers["set-cookie"].lower()
    assert done.headers["location"] == "/retuned/"
    page = http.get("/").text
    assert f'href="/retuned/models/{MODEL}"' in page
    assert not re.search(r'(?:href|src|action|formaction)="/(?!retuned)', page)
    assert _sign_in(http, Origin="https://evil.example").status_code == 403


def test_signing_in_leads_to_our_own_pages_only(guarded: Callable[..., TestClient]) -> None:
    http = guarded()
    encoded = ["/%2f%2fevil.example", "javascript:alert(1)", "/a\r\nb", ""]
    for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", *encoded]:
        assert _sign_in(http, after=elsewhere).headers["location"] == "/"
        assert "evil" not in http.get("/signin", params={"next": elsewhere}).text


def test_wrong_tokens_become_slow_for_pages_and_api_alike(guarded: Callable[..., TestClient]) -> None:
    http = guarded()
    answers = [_sign_in(http, token=f"guess {i}").status_code for i in range(11)]
    assert answers == [401] * 10 + [429]
    assert _sign_in(http).status_code == 429, "the right one too: a guess must not learn anything"
    api = http.post(f"/v1/models/{MODEL}/pause", json={}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert (api.status_code, int(api.headers["retry-after"]) <= 61) == (429, True)


def test_a_made_up_link_says_nothing_in_our_name(http: TestClient) -> None:
    assert "champion" not in http.get("/", params={"said": "Done: version 9 is champion."}).text.partition("<table")[0]


def test_the_pages_are_no_part_of_the_api(http: TestClient) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert all(path.startswith(("/v1/", "/reports/", "/runbooks/")) or path in {"/metrics", "/healthz", "/readyz"} for path in paths)
