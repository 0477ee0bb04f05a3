"""deploy/compose.yaml without an engine: its structure by the specification, its files and commands by the real programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from compose_spec import PyCompose
from sqlalchemy import create_engine, text

from daemon.check.read import load_settings
from retrain.versions.mlflow import MlflowVersions
from tests import image, postgresql
from tests.docs_blocks import Block
from tests.image import ROOT
from tests.integration.conftest import free_port, running, wait_for

_DEPLOY = ROOT / "deploy"
_TEXT = (_DEPLOY / "compose.yaml").read_text()
_SERVICES: dict[str, Any] = yaml.safe_load(_TEXT)["services"]
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def _mounts(service: dict[str, Any]) -> list[list[str]]:
    return [volume.split(":") for volume in service.get("volumes", [])]


def _file_at(service: str, target: str) -> Path:
    (found,) = [source for source, at, *_ in _mounts(_SERVICES[service]) if at == target]
    return (_DEPLOY / found).resolve()


def test_it_keeps_to_the_compose_specification() -> None:
    filled = _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "secret", _TEXT)
    found = PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(filled)))  # anchors and merges resolved, as an engine does
    found.validate()
    assert set(found.service_names()) == {"retuned", "mlflow", "postgres", "prometheus", "alertmanager", "grafana"}
    with pytest.raises(ValueError, match="restrt"):
        PyCompose.from_yaml(yaml.safe_dump({"services": {"a": {"image": "a:1", "restrt": "no"}}}))


def test_images_are_pinned_ports_are_on_loopback_and_nothing_is_root_that_need_not_be() -> None:
    for name, service in _SERVICES.items():
        tag = service["image"].rsplit(":", 1)[1]
        assert re.match(r"v?\d+\.\d+", tag), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "postgres":  # whose start changes owners
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    assert "ports" not in _SERVICES["postgres"]
    assert _SERVICES["retuned"]["build"]["dockerfile"] == "deploy/Dockerfile"
    assert {"monitoring", "training"} <= set(image.stages(image.DOCKERFILE.read_text()))


def test_every_service_says_how_it_is_and_is_waited_for_only_by_that() -> None:
    has_check = {name for name, service in _SERVICES.items() if "healthcheck" in service} | {"retuned"}  # the image's own
    assert has_check == set(_SERVICES)
    waits = {name: service["depends_on"] for name, service in _SERVICES.items() if "depends_on" in service}
    assert {(name, on): how["condition"] for name, all_of in waits.items() for on, how in all_of.items()} == {
        ("retuned", "postgres"): "service_healthy",
        ("mlflow", "postgres"): "service_healthy",
    }
    said = image.configuration(image.stages(image.DOCKERFILE.read_text()), "monitoring")
    assert f":{_SERVICES['retuned']['ports'][0].rsplit(':', 1)[1]}/" in said.healthcheck[-1]


def test_every_file_that_is_mounted_is_there_and_every_volume_is_declared() -> None:
    declared = set(yaml.safe_load(_TEXT)["volumes"])
    used = set()
    for name, service in _SERVICES.items():
        for source, target, *mode in _mounts(service):
            assert target.startswith("/"), name
            if source.startswith("."):
                assert (_DEPLOY / source).is_file(), (name, source)
                assert mode == ["ro"], (name, source)
            else:
                used.add(source)
    assert used == declared


def test_no_secret_is_committed_and_the_example_names_every_variable() -> None:
    lines = [line for line in (_DEPLOY / "compose" / "env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    used = {found[1]: found[2] for found in _VARIABLE.finditer(_TEXT)}
    assert set(example) == set(used)
    assert {name for name, value in example.items() if not value} == {name for name, how in used.items() if how == "?"}  # no start without
    ignored = subprocess.run(["git", "check-ignore", "deploy/.env"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout.strip() == "deploy/.env"


def test_the_services_find_each_other_by_the_names_and_ports_that_their_files_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNED_TOKEN", "t")
    settings = load_settings(_file_at("retuned", "/etc/retuned/retuned.yaml"))
    assert settings.data_dir == Path(next(at for source, at, *_ in _mounts(_SERVICES["retuned"]) if source == "retuned"))
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 8420)
    assert settings.registry.tracking_uri == "http://mlflow:5000"
    assert settings.ledger is not None
    ledger = urlsplit(settings.ledger)
    assert (ledger.hostname, ledger.username, ledger.password, ledger.path) == ("postgres", "retuned", None, "/retuned")
    prometheus = yaml.safe_load(_file_at("prometheus", "/etc/prometheus/prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets["retuned"] == ["retuned:8420"]
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    source = yaml.safe_load(_file_at("grafana", "/etc/grafana/provisioning/datasources/retuned.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load(_file_at("grafana", "/etc/grafana/provisioning/dashboards/retuned.yaml").read_text())["providers"][0]
    folder = provider["options"]["path"]
    shown = {Path(source).name for source, target, *_ in _mounts(_SERVICES["grafana"]) if target.startswith(f"{folder}/")}
    assert shown == {path.name for path in (ROOT / "dashboards").glob("*.json")}


def test_prometheus_and_alertmanager_take_what_is_mounted_into_them(tmp_path: Path) -> None:
    config = _file_at("prometheus", "/etc/prometheus/prometheus.yml").read_text()
    rules = _file_at("prometheus", "/etc/prometheus/rules.yaml")
    assert "/etc/prometheus/rules.yaml" in config
    (tmp_path / "prometheus.yml").write_text(config.replace("/etc/prometheus/rules.yaml", str(rules)))
    alerts = _file_at("alertmanager", "/etc/alertmanager/alertmanager.yml")
    for command in (["promtool", "check", "config", tmp_path / "prometheus.yml"], ["amtool", "check-config", alerts]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_secrets_are_made_as_the_documentation_says(doc_blocks: list[Block], tmp_path: Path) -> None:
    shutil.copytree(_DEPLOY / "compose", tmp_path / "deploy" / "compose")
    doc_blocks[0].run(cwd=tmp_path)
    made = tmp_path / "deploy" / ".env"
    assert made.stat().st_mode & 0o777 == 0o600
    assert len(set(re.findall(r"^\w+=([0-9a-f]{48})$", made.read_text(), re.MULTILINE))) == 3
    assert "RETUNED_TARGET=monitoring\n" in made.read_text()


def test_the_service_of_compose_keeps_its_ledger_in_postgresql_and_answers_as_documented(
    doc_blocks: list[Block], postgresql_server: postgresql.Server, tmp_path: Path
) -> None:
    settings = yaml.safe_load(_file_at("retuned", "/etc/retuned/retuned.yaml").read_text())
    here = {name: part for name, part in settings.items() if name not in {"data_dir", "http"}}
    database = postgresql_server.new_database()
    here |= {"ledger": database, "registry": {"tracking_uri": "http://127.0.0.1:9"}, "tick_s": 0.2}  # nobody: it runs without MLflow
    here["models"][0]["monitors"] = {"pane_s": 0.5, "watermark_s": 0.2}
    with running(tmp_path, yaml.safe_dump(here)) as service:
        said = doc_blocks[0].run(cwd=tmp_path, replace={"127.0.0.1:8420": str(service.http.base_url.netloc, "ascii")})
        assert '"accepted":1' in said
        assert "retuned_records_total" in said
        wait_for(lambda: service.model("support-sentiment")["counters"].get("records") == {"stored": 1}, message="the record is stored")
        assert service.stop() == 0
    assert "Traceback" not in (tmp_path / "service.log").read_text()
    assert not (tmp_path / "data" / "ledger.db").exists()
    with create_engine(database).connect() as tx:
        assert tx.execute(text("SELECT sum(n) FROM key_run WHERE model = 'support-sentiment'")).scalar() == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow and what it imports, not this project
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_registry_starts_by_its_own_command_on_the_database_and_answers_to_its_name(
    postgresql_server: postgresql.Server, tmp_path: Path
) -> None:
    database = postgresql_server.new_database()
    said = _SERVICES["mlflow"]
    port = free_port()
    changed = {
        "postgresql+psycopg2://retuned@postgres/mlflow": database,
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=5000": f"--port={port}",
        "127.0.0.1:5000": f"127.0.0.1:{port}",
        "/var/lib/retuned": str(tmp_path / "artifacts"),
    }
    command = [re.sub("|".join(map(re.escape, changed)), lambda found: changed[found[0]], word) for word in said["command"]]
    assert said["entrypoint"][-1] == "mlflow"
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", **said["environment"]}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*said["entrypoint"][:-1], Path(sys.executable).with_name("mlflow"), *command], cwd=tmp_path, env=env, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: server.poll() is not None or _answers(url), seconds=240, message="the registry's start")
        assert server.poll() is None, (tmp_path / "log").read_text()
        asked = f"{url}/api/2.0/mlflow/registered-models/search"
        assert [httpx.get(asked, headers={"Host": host}).status_code for host in ("mlflow:5000", "evil.example")] == [200, 403]
        adapter = tmp_path / "adapter"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text("{}")
        versions = MlflowVersions(url, data_dir=tmp_path / "data")
        made = versions.stage("m", adapter, key="run-1", tags={})
        versions.put_alias("m", "champion", made.version)
        assert versions.aliases("m") == {"champion": made.version}
        assert (versions.fetch("m", made.version, tmp_path / "got") / "adapter_config.json").read_text() == "{}"
        assert list((tmp_path / "artifacts").rglob("adapter_config.json"))
    finally:
        server.terminate()
        server.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", headers={"Host": "localhost:5000"}).status_code == 200
    except httpx.TransportError:
        return False
