"""A real Prometheus over a real service: scraped every second, its rules evaluated, its answers read by the HTTP API."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.conftest import wait_for

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and os.environ.get("CI") != "true", reason="prometheus is not installed (make packages)"
)


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """A running one."""

    url: str
    http: httpx.Client

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Instant: [{"metric": labels, "value": [at, text]}]; a refused expression fails the test with Prometheus' own words."""
        return self._get("/api/v1/query", query=expr)

    def values(self, expr: str) -> list[float]:
        return [float(found["value"][1]) for found in self.query(expr)]

    def query_range(self, expr: str, *, start: float, end: float, step: float = 1.0) -> list[dict[str, Any]]:
        """[{"metric": labels, "values": [[at, text], …]}]."""
        return self._get("/api/v1/query_range", query=expr, start=start, end=end, step=step)

    def rules(self) -> list[dict[str, Any]]:
        """Every loaded rule as the API tells it."""
        groups = self.http.get("/api/v1/rules").raise_for_status().json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Pending and firing."""
        return list(self.http.get("/api/v1/alerts").raise_for_status().json()["data"]["alerts"])

    def firing(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(model, name) -> alert; "" where it is about no model."""
        return {_named(a["labels"]): a for a in self.alerts() if a["state"] == "firing"}

    def ever_fired(self) -> set[tuple[str, str]]:
        """(model, name) of every alert that fired at some evaluation of the last hour."""
        return {_named(found["metric"]) for found in self.query('last_over_time(ALERTS{alertstate="firing"}[1h])')}

    def _get(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        answer = self.http.get(path, params=asked).json()
        assert answer["status"] == "success", f"{asked['query']}: {answer.get('error')}"
        return list(answer["data"]["result"])


def _named(labels: dict[str, str]) -> tuple[str, str]:
    return labels.get("model", ""), labels["alertname"]


@contextmanager
def prometheus(
    folder: Path, target: str, *, rules: Sequence[Path] = (), alertmanager: str | None = None, interval: str = "1s"
) -> Iterator[Prometheus]:
    """Debian's Prometheus, scraping `target` (the service's URL) as job "retuned"; ended by its process."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(path.resolve()) for path in rules],
        "scrape_configs": [{"job_name": "retuned", "static_configs": [{"targets": [urlsplit(target).netloc]}]}],
    }
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [urlsplit(alertmanager).netloc]}]}]}
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--rules.alert.resend-delay=1s"]  # what fires before Alertmanager is discovered is lost, and said again only then
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "prometheus.log").open("ab") as log,
        ended(subprocess.Popen(command, stdout=log, stderr=log)) as process,
        httpx.Client(base_url=url, timeout=20.0) as http,
    ):
        wait_for(lambda: process.poll() is not None or answers(http, "/-/ready"), seconds=60, message="Prometheus")
        assert process.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
        yield Prometheus(url=url, http=http)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, ended afterwards by its own handle."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def answers(http: httpx.Client, path: str) -> bool:
    """Whether it answers 200 by now."""
    try:
        return http.get(path).status_code == 200
    except httpx.TransportError:
        return False


def drive(post: Callable[[], None], until: Callable[[], Any], *, seconds: float = 90.0, message: str, every_s: float = 0.2) -> Any:
    """Traffic goes on until something is true of the service; what it was."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        post()
        if found := until():
            return found
        time.sleep(every_s)  # the pace of the traffic
    pytest.fail(f"{message} did not come about within {seconds} s")
