"""The pages in a real browser, on the real service: a model has gone bad, and a run waits for a person.

What led there is played in the ledger by tests/acting.py; the run's files, its gates and MLflow are real. With RETUNED_PICTURES=FOLDER
(docs, say) it really happens instead, which takes minutes (tests/e2e/bad_day.py), and the pages are photographed into that folder.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn

from daemon.store import incidents
from retrain.versions.mlflow import MlflowVersions
from tests import shifting
from tests.acting import MODEL, World
from tests.e2e.bad_day import bad_day
from tests.integration.conftest import Service, running, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync"]
_PICTURES = os.environ.get("RETUNED_PICTURES")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not _CHROMIUM.exists() and os.environ.get("CI") != "true", reason="chromium is not installed (make packages): no page was opened"
    ),
]


@contextmanager
def _played(folder: Path) -> Iterator[tuple[Service, str]]:
    """A run that waits, with what it rests on, put into a ledger and a folder that the real service then opens."""
    world = World(folder / "world", autonomy="train", now=time.time() - 900.0)
    first = MlflowVersions(data_dir=world.settings.data_dir)
    first.put_alias(MODEL, "champion", first.stage(MODEL, _adapter(folder / "adapter"), key="first", tags={}).version)
    with world.ledger.begin() as tx:
        alarm = {"detector": "text_witness", "subject": "input.text", "kind": "drift", "first_at": world.now, "last_at": world.now}
        subjects = {"text_witness:input.text": {**alarm, "because": "texts differ from the reference"}}
        incidents.open_incident(tx, incident_id="inc-1", model=MODEL, epoch=1, now=world.now, subjects=subjects, harmful=False)
    world.trigger()
    world.until("collecting")
    world.labels()
    world.until("awaiting_approval")
    world.ledger.close()
    models = json.dumps(world.settings.model_dump(mode="json", include={"models"})["models"])
    config = f"ledger: sqlite:///{world.folder / 'ledger.db'}\ntick_s: 0.3\nmodels: {models}\n"
    with running(world.folder, config) as service:
        yield service, MODEL


def _adapter(folder: Path) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    return folder


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """The service and the name of its model."""
    with (bad_day if _PICTURES else _played)(tmp_path) as found:
        yield found


@pytest.fixture
def page() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield browser.new_page(viewport={"width": 1400, "height": 320})
        browser.close()


def _photograph(page: Page, name: str) -> None:
    if _PICTURES:
        page.screenshot(path=Path(_PICTURES) / f"page-{name}.png", full_page=True)


def _sign(page: Page, because: str) -> None:
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("Because").fill(because)


def test_a_person_judges_the_incident_and_approves_the_run_that_waits(waiting: tuple[Service, str], page: Page) -> None:
    service, model = waiting
    complaints = list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(60_000)

    page.goto(str(service.http.base_url))
    _photograph(page, "models")
    page.get_by_role("link", name=model, exact=True).click()
    page.get_by_text("not judged yet", exact=True).first.wait_for()
    _photograph(page, "model")

    page.goto(f"{service.http.base_url}/models/{model}/incident")
    _photograph(page, "incident")
    _sign(page, "I look at it")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("status").get_by_text("is acknowledged by Ada Lovelace").wait_for()
    _sign(page, "a campaign's texts")
    page.get_by_role("button", name="false", exact=True).click()
    page.get_by_role("status").get_by_text("judged false by Ada Lovelace").wait_for()
    page.get_by_role("navigation").get_by_role("link", name=model).click()
    page.get_by_text("0 of 1").wait_for()
    assert f'retuned_alarm_precision_ratio{{bound="value",model="{model}"}} 0.0' in service.http.get("/metrics").text

    page.get_by_role("link", name="A run is awaiting approval").click()
    page.get_by_role("row", name="superiority").get_by_text("passed").wait_for()
    _photograph(page, "run")
    _sign(page, "the gates are convincing")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("status").get_by_text("is approved by Ada Lovelace").wait_for()
    wait_for(lambda: service.model(model)["champion"]["version"] == "2", seconds=60, message="the promotion")
    page.reload()
    page.locator("ol.steps .now").get_by_text("watching").or_(page.locator("ol.steps .now").get_by_text("promoted")).wait_for()
    page.get_by_text("Ada Lovelace", exact=True).wait_for()
    assert complaints == []


@pytest.fixture
def shifted(tmp_path: Path) -> Iterator[tuple[shifting.World, str]]:
    """A service on a port, whose model has a benign incident; and its address."""
    world = shifting.World(shifting.settings(tmp_path))
    world.send(2)
    world.until_benign()
    server = uvicorn.Server(uvicorn.Config(world.api, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, message="the server")
    yield world, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20.0)
    world.close()


def test_a_person_absorbs_a_benign_incident_and_undoes_it(shifted: tuple[shifting.World, str], page: Page) -> None:
    world, url = shifted
    complaints = list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(f"{url}/models/{shifting.MODEL}/incident")
    page.get_by_text("Benign, a shift of the inputs").first.wait_for()
    _sign(page, "the new shop is open")
    page.get_by_role("button", name="Absorb into the reference").click()
    page.get_by_role("status").get_by_text("are the reference now").wait_for()
    page.get_by_text("Absorbed into the reference by Ada Lovelace").wait_for()
    assert world.epoch().because == "absorbed by Ada Lovelace: the new shop is open"
    page.get_by_text("It was not normal").click()
    _sign(page, "it closed again")
    page.get_by_role("button", name="Undo the absorbing").click()
    page.get_by_role("status").get_by_text("is back, in epoch 3").wait_for()
    assert complaints == []
