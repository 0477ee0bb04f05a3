"""`retuned detectors`: complete, the page that is made of it is fresh, and a plug-in is listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from daemon.cli import app
from detectors import registry

ROOT = Path(__file__).parents[2]


def test_the_page_of_detectors_is_what_the_command_writes() -> None:
    written = (ROOT / "docs" / "detectors.md").read_text()
    said = CliRunner().invoke(app, ["detectors", "--markdown"])
    assert said.stdout == written, "docs/detectors.md is old: run `retuned detectors --markdown > docs/detectors.md`"


def test_json_holds_every_detector_with_all_that_it_says_of_itself() -> None:
    found = {entry["name"]: entry for entry in json.loads(CliRunner().invoke(app, ["detectors", "--json"]).stdout)}
    assert sorted(found) == registry.names()
    assert all(entry[what] for entry in found.values() for what in ("idea", "eats", "guarantee", "assumption", "cost", "source"))
    risk = found["risk"]
    assert (risk["kind"], risk["evidence"], risk["eats"]) == ("alarms", "EValue", ["pairs"])
    defaults = {s["name"]: s["default"] for s in risk["settings"]}
    assert (defaults["alpha"], defaults["delta"]) == (None, "0.005")


def test_the_table_names_every_detector() -> None:
    said = CliRunner().invoke(app, ["detectors"])
    assert {line.split()[0] for line in said.stdout.splitlines()[1:] if line.strip() and not line.startswith(" ")} == set(registry.names())


def test_a_plug_in_of_the_entry_point_group_is_listed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        '"""A plug-in."""\n'
        "from dataclasses import dataclass\n"
        "from detectors.drift.ks import Ks\n"
        "from detectors.registry import register\n\n\n"
        '@register("my_ks")\n'
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(Ks):\n"
        '    """One of our own."""\n'
    )
    meta = tmp_path / "mine-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (meta / "entry_points.txt").write_text("[retuned.detectors]\nmy_ks = mine\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "daemon", "detectors", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    (mine,) = [entry for entry in json.loads(done.stdout) if entry["name"] == "my_ks"]
    assert (mine["idea"], mine["kind"]) == ("One of our own.", "informs")
