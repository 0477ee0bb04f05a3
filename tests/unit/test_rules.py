"""The rules for Prometheus: read by the real promtool, each alert seen to fire, not to fire and to resolve."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.show.metrics import BY_NAME, LABELS
from dashboards.rule import Severity
from dashboards.rules import ALERTS
from detectors import registry
from detectors.types import Kind
from tests.docs_blocks import Block

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules.yaml"
FILES = sorted((ROOT / "dashboards" / "tests").glob("*.yaml"))
NAMES = sorted(alert.name for alert in ALERTS)

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true", reason="promtool is not installed (make packages)"
)


def rules(kind: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if kind in rule]


@needs_promtool
def test_promtool_reads_the_rules() -> None:
    checked = subprocess.run(["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(RULES)], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules('alert')) + len(rules('record'))} rules found" in checked.stdout.decode()


@pytest.mark.skipif(shutil.which("amtool") is None and os.environ.get("CI") != "true", reason="amtool is not installed (make packages)")
@needs_promtool
def test_the_guide_to_alerts(doc_blocks: list[Block], tmp_path: Path) -> None:
    rules_block, notify_block = doc_blocks
    for folder in ("dashboards", "deploy"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    rules_block.run(cwd=tmp_path)
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    said = notify_block.run(cwd=tmp_path, env=env)
    assert [line.split()[0] for line in said.splitlines() if line.endswith("is told")] == ["json", "slack", "mailtos"]


def test_the_guide_says_each_alerts_severity() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    said = {name: severity for severity, names in rows for name in names.split(", ")}
    assert {name.strip(): severity for name, severity in said.items()} == {alert.name: alert.severity.value for alert in ALERTS}


@needs_promtool
def test_every_alert_fires_does_not_fire_and_resolves_as_written() -> None:
    tested = subprocess.run(["promtool", "test", "rules", *map(str, FILES)], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_on_firing_on_not_firing_and_on_resolving() -> None:
    assert [file.stem for file in FILES] == NAMES
    for file in FILES:
        looks = [[bool(look["exp_alerts"]) for look in test["alert_rule_test"]] for test in yaml.safe_load(file.read_text())["tests"]]
        assert {look["alertname"] for test in yaml.safe_load(file.read_text())["tests"] for look in test["alert_rule_test"]} == {file.stem}
        if file.stem != "RetunedWatchdog":  # it always fires
            assert any(look[0] is False and look[-1] is False and True in look for look in looks), file.stem


def test_an_alert_says_how_bad_it_is_by_a_word_of_a_closed_set_and_is_about_a_model_or_the_service_never_about_an_instance() -> None:
    for alert in ALERTS:
        assert alert.severity in Severity
        assert not re.search(r"\b(instance|pod)\b", alert.expr), alert.name
        assert not re.search(r"\{\{.*\}\}", str(alert.rule()["labels"])), "a label made of text is no closed set"


def test_rules_speak_only_of_metrics_and_labels_that_there_are() -> None:
    recorded = {rule["record"] for rule in rules("record")}
    for rule in (*rules("record"), *rules("alert")):
        text = rule["expr"] + " ".join(rule.get("annotations", {}).values())
        assert set(re.findall(r"\bretuned_[a-z0-9_]+", text)) <= set(BY_NAME), rule
        assert set(re.findall(r"\bretuned:[a-z0-9_:]+", text)) <= recorded, rule
        for labels in re.findall(r"by \(([^)]*)\)", text):
            assert set(labels.split(", ")) <= LABELS | {"namespace", "job"}, rule


def test_every_detector_that_alarms_has_an_alert_of_its_own_kind_and_a_figure_in_it() -> None:
    wanted = {alert.name: re.findall(r'detector(=~|!~)"([^"]+)"', alert.expr)[:1] for alert in ALERTS}
    selectors = {name: found[0] for name, found in wanted.items() if found}
    for name in (name for name in registry.names() if registry.detector_class(name).kind is Kind.ALARMS):
        heard = [alert for alert, (how, names) in selectors.items() if bool(re.fullmatch(names, name)) is (how == "=~")]
        assert len(heard) == 1, (name, heard)
        said = next(alert.says for alert in ALERTS if alert.name == heard[0])
        assert any(re.fullmatch(names, name) for names in re.findall(r'detector=~\\"([^"]+)\\"', said)), (name, heard)


def test_every_alert_has_a_runbook_that_names_it_and_says_meaning_check_and_act_and_no_runbook_is_without_an_alert() -> None:
    books = {path.stem: path.read_text() for path in (ROOT / "docs" / "runbooks").glob("*")}
    assert sorted(books) == NAMES
    for name, text in books.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall("^## (.*)$", text, re.MULTILINE) == ["What it means", "Check", "Act"], name
    named = {found for text in books.values() for found in re.findall(r"\bRetuned[A-Z]\w+", text)}
    assert named <= set(NAMES)


def test_messages_and_runbooks_speak_of_commands_and_alerts_that_there_are() -> None:
    from typer.main import get_command

    from daemon.act import message
    from daemon.cli import app
    from daemon.store.outbox import What

    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    text = "".join(path.read_text() for path in (ROOT / "docs" / "runbooks").glob("*"))
    assert set(re.findall(r"\bretuned ([a-z]+)\b(?=[^\n]*(?:`|MODEL|--|$))", "\n".join(re.findall(r"`(retuned [^`]*)`", text)))) <= commands
    assert set(message._WHAT) == set(What), "each has its words"
    books = {book for _, _, book in message._WHAT.values() if book} | {book for book, _ in message._OF_KIND.values()}
    assert books <= set(NAMES)
