"""From a degraded model to a person: real service, Prometheus, Alertmanager and webhook, with the committed rules and routes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.expressions import RULES
from tests.integration.conftest import wait_for
from tests.observing import answers, drive, ended, free_port, needs_prometheus, prometheus
from tests.scene import MODEL, scene
from tests.sinks import Sink, webhook

ROUTES = Path(__file__).parents[2] / "deploy" / "alertmanager" / "alertmanager.yml"

# MLflow and what it imports, not this project
pytestmark = [
    needs_prometheus,
    pytest.mark.skipif(
        shutil.which("prometheus-alertmanager") is None and os.environ.get("CI") != "true",
        reason="prometheus-alertmanager is not installed (make packages)",
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def quick(text: str) -> str:
    """The same rules or routes, with seconds in place of minutes and days."""
    text = re.sub(r"\[\d+[mhd]\]", "[20s]", re.sub(r"for: \d+[mh]", "for: 10s", text))
    return re.sub(r"(group_wait|group_interval): \d+[sm]", r"\1: 1s", text)


@contextmanager
def alertmanager(folder: Path, sink: Sink) -> Iterator[httpx.Client]:
    """Debian's Alertmanager on the committed routes, whose webhooks are the sink."""
    folder.mkdir()
    path = folder / "alertmanager.yml"
    path.write_text(quick(ROUTES.read_text()).replace("127.0.0.1:9095", f"127.0.0.1:{sink.port}"))
    url = f"http://127.0.0.1:{free_port()}"
    command = ["prometheus-alertmanager", f"--config.file={path}", f"--storage.path={folder}", "--cluster.listen-address="]
    with (
        (folder / "log").open("ab") as log,
        ended(subprocess.Popen([*command, f"--web.listen-address={url[7:]}"], stdout=log, stderr=log)) as process,
        httpx.Client(base_url=url, timeout=20.0) as http,
    ):
        wait_for(lambda: process.poll() is not None or answers(http, "/-/ready"), seconds=60, message="Alertmanager")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield http


def told(sink: Sink, receiver: str, name: str, status: str) -> list[dict[str, Any]]:
    """Alerts of this name and status that a receiver got, each with the labels that its message is grouped by."""
    messages = [taken["body"] for taken in list(sink.got) if taken["path"] == f"/{receiver}"]
    found = [{**alert, "group": message["groupLabels"]} for message in messages for alert in message["alerts"]]
    return [alert for alert in found if alert["labels"]["alertname"] == name and alert["status"] == status]


def test_the_routes_are_read_and_lead_each_severity_to_its_receiver() -> None:
    checked = subprocess.run(["amtool", "check-config", str(ROUTES)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for labels, receiver in (
        (("alertname=RetunedWatchdog", "severity=none"), "heartbeat"),
        (("alertname=RetunedHarmfulDrift", "severity=page"), "pager"),
        (("alertname=RetunedBlind", "severity=ticket"), "tickets"),
        (("alertname=RetunedPromoted", "severity=info"), "news"),
    ):
        routed = subprocess.run(
            ["amtool", "config", "routes", "test", f"--config.file={ROUTES}", *labels], capture_output=True, text=True, check=False
        )
        assert routed.stdout.strip() == receiver, routed.stderr


def test_a_degraded_model_wakes_a_person_once_with_figures_and_links_and_is_resolved(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(quick(RULES.read_text()))
    with (
        webhook() as sink,
        alertmanager(tmp_path / "alertmanager", sink) as am,
        scene(tmp_path, more=f"notify: {{urls: ['json://127.0.0.1:{sink.port}/service']}}\n") as played,
        prometheus(tmp_path / "prometheus", str(played.service.http.base_url), rules=[rules], alertmanager=str(am.base_url)),
    ):
        drive(played.post, lambda: played.n >= 600 and len(played.verdicts()) > 20, message="verdicts")
        wait_for(lambda: told(sink, "heartbeat", "RetunedWatchdog", "firing"), seconds=60, message="the heartbeat")
        assert not [taken for taken in sink.got if taken["path"] in {"/pager", "/service"}], "nobody is woken while all is well"
        played.is_bad = True
        page = drive(played.post, lambda: told(sink, "pager", "RetunedHarmfulDrift", "firing"), message="the page")[0]
        assert page["labels"] == {"alertname": "RetunedHarmfulDrift", "job": "retuned", "model": MODEL, "severity": "page"}
        assert page["group"] == {"job": "retuned", "model": MODEL}
        assert re.search(r"is [\d.]+, between [\d.]+ and [\d.]+ \(", page["annotations"]["description"]), page["annotations"]
        for link in ("incident_url", "runbook_url"):
            seen = httpx.get(page["annotations"][link], follow_redirects=True)
            assert seen.status_code == 200, page["annotations"]
        drive(played.post, lambda: inhibited(am), message="the inhibition of what follows from it")
        messages = drive(
            played.post, lambda: [t["body"]["title"] for t in sink.got if t["path"] == "/service"], message="the service's own message"
        )
        assert messages[0].startswith(f"{MODEL}: incident")
        wait_for(played.is_read, seconds=90, message="the verdicts on the last of the traffic")  # a subject that alarms later is told anew
        played.judge("real")
        wait_for(lambda: told(sink, "pager", "RetunedHarmfulDrift", "resolved"), seconds=90, message="the resolution")
        titles = [t["body"]["title"] for t in sink.got if t["path"] == "/service"]
        assert len(titles) == len(set(titles)), "each state of the incident is told once"


def inhibited(am: httpx.Client) -> list[str]:
    """Alerts about the model's performance or drift that Alertmanager holds back because of the harmful one."""
    alerts = am.get("/api/v2/alerts").raise_for_status().json()
    held = [a for a in alerts if a["labels"].get("model") == MODEL and a["status"]["inhibitedBy"]]
    return [a["labels"]["alertname"] for a in held if a["labels"]["alertname"].startswith(("RetunedPerformanceDegraded", "RetunedDrift"))]
