"""deploy/systemd/retuned.service as far as it can be had without a running systemd: checked by systemd's own tools and by strace."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import daemon.service
from daemon.cli_options import BAD_SETTINGS
from tests.docs_blocks import ROOT, Block
from tests.integration.conftest import free_port, wait_for

_UNIT = ROOT / "deploy" / "systemd" / "retuned.service"
_BIN = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and os.environ.get("CI") != "true", reason="systemd is not installed: apt-get install systemd"
)


def _unit() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(_UNIT)
    return unit["Service"]


def test_the_unit_agrees_with_the_service_that_it_runs() -> None:
    unit = _unit()
    assert float(unit["TimeoutStopSec"].rstrip("s")) > daemon.service._SHUTDOWN_S
    assert int(unit["RestartPreventExitStatus"]) == BAD_SETTINGS
    assert unit["KillMode"] == "process"  # a training is left alone
    assert unit["User"] == re.findall(r"^u (\w+) ", (_UNIT.with_name("retuned.sysusers.conf")).read_text(), re.MULTILINE)[0]
    kept = [f"/var/lib/{name}" for name in unit["StateDirectory"].split()]
    used = re.findall(r"(?:HOME|TMPDIR)=(\S+)", unit["Environment"])
    assert unit["WorkingDirectory"] == kept[0]
    assert set(used) <= set(kept)


def test_the_unit_is_installed_as_its_documentation_says(doc_blocks: list[Block], tmp_path: Path) -> None:
    settings, unit = doc_blocks
    for folder in ("etc/sysusers.d", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "retuned.yaml").write_text("data_dir: /var/lib/retuned\nmodels: [{name: m, task: text-classification}]\n")
    here = {"/etc/retuned": f"{tmp_path}/etc/retuned", "/opt/retuned/bin": str(_BIN)}
    assert "valid" in settings.run(cwd=tmp_path, replace=here)
    secret = tmp_path / "etc" / "retuned" / "retuned.env"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"RETUNED_TOKEN=[0-9a-f]{48}\n", secret.read_text())
    copied = tmp_path / "deploy" / "systemd"
    shutil.copytree(_UNIT.parent, copied)
    text = _UNIT.read_text()
    assert text.count("/opt/retuned/bin/retuned ") == 1
    (copied / _UNIT.name).write_text(text.replace("/opt/retuned/bin/retuned ", f"{_BIN}/retuned "))
    said = unit.run(cwd=tmp_path, replace={"/etc/sysusers.d": f"{tmp_path}/etc/sysusers.d", "/etc/systemd": f"{tmp_path}/etc/systemd"})
    assert "Overall exposure level for retuned.service: 1." in said
    users = subprocess.run(
        ["systemd-sysusers", "--dry-run", tmp_path / "etc/sysusers.d/retuned.conf"], capture_output=True, text=True, check=True
    )
    assert "retuned" in users.stdout + users.stderr


def _calls(name: str) -> set[str]:
    """System calls of one of systemd's sets, with those that it stands on."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return {word for word in words if not word.startswith("@")}.union(*(_calls(word) for word in words if word.startswith("@")))


def test_the_filter_of_system_calls_lets_through_what_the_service_asks_for(tmp_path: Path) -> None:
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", _UNIT.read_text(), re.MULTILINE):
        allowed = allowed - _calls(line[1:]) if line.startswith("~") else allowed | _calls(line)
    port = free_port()
    config = tmp_path / "retuned.yaml"
    monitors = "monitors: {pane_s: 0.5, watermark_s: 0.2}"
    models = f"models: [{{name: m, task: text-classification, {monitors}}}]\n"
    config.write_text(f"data_dir: {tmp_path}/data\ntick_s: 0.2\nhttp: {{port: {port}}}\n{models}")
    counted = tmp_path / "calls"
    command = ["strace", "-f", "-c", "-U", "name", "-o", counted, _BIN / "retuned", "serve", "--config", config]
    with (tmp_path / "log").open("wb") as log:
        tracer = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            where = tmp_path / "data" / "service.json"
            wait_for(lambda: where.exists() or tracer.poll() is not None, seconds=120, message="the service's start")
            assert tracer.poll() is None, (tmp_path / "log").read_text()
            wait_for(lambda: http.get("/readyz").status_code == 200, seconds=60, message="readiness")
            output = {"label": "a", "scores": {"a": 0.9}}
            record = {"id": "r", "model": "m", "version": "1", "at": datetime.now(UTC).isoformat(), "output": output}
            http.post("/v1/records", json=record).raise_for_status()
            wait_for(lambda: http.get("/v1/models/m").json()["counters"].get("records") == {"stored": 1}, message="the record is stored")
            os.kill(json.loads(where.read_text())["pid"], signal.SIGTERM)
        assert tracer.wait(timeout=60) == 0
    finally:
        if tracer.poll() is None:
            tracer.kill()
            tracer.wait(timeout=10)
    called = {line.strip() for line in counted.read_text().splitlines() if re.fullmatch(r"\s*[a-z]\w+\s*", line)} - {"syscall", "total"}
    assert {"openat", "fdatasync", "accept4"} & called
    of_root = {"fchown"} if os.geteuid() == 0 else set()  # SQLite hands its files to the database's owner, as root only
    assert called - allowed - of_root == set()
