"""The command line: against a real HTTP server with the real API, and as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import uvicorn
from typer.testing import CliRunner

from daemon.cli import app
from daemon.settings import Settings
from daemon.show.api import create_api
from daemon.show.operations import Done
from daemon.show.snapshot import snapshot
from daemon.show.views import Health, Snapshot
from daemon.store import champions, controls, incidents, runs, verdicts
from daemon.store.ledger import Ledger
from detectors.types import EValue, Outcome, PValue, Score, Verdict
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

    from tests.docs_blocks import Block

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
TOKEN = "s3cret"
SUBJECTS = {"risk:risk": {"detector": "risk", "subject": "risk", "kind": "risk", "because": "loss rose", "first_at": NOW - 10.0}}
COMMANDS = {
    "label-plan",
    "serve",
    "demo",
    "check",
    "replay",
    "status",
    "retrain",
    "approve",
    "promote",
    "rollback",
    "pause",
    "resume",
    "runs",
}
COMMANDS |= {"cancel", "incidents", "acknowledge", "mute", "close", "backup", "restore", "detectors", "absorb"}


class Served:
    """A stand-in for the pipeline behind the real API, on a real port."""

    def __init__(self, folder: Path) -> None:
        named = [{"name": name, "task": "text-classification", "labels": ["a", "b"]} for name in ("one", "two")]
        self.settings = Settings.model_validate({"data_dir": str(folder), "http": {"token": TOKEN}, "models": named})
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.ledger.migrate()
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def snapshot(self) -> Snapshot:
        with self.ledger.read() as tx:
            return snapshot(tx, self.settings, NOW, Health(started_at=NOW, blind={"one": frozenset({"label"})}))

    def __getattr__(self, name: str) -> Any:
        def call(model: str, **asked: Any) -> Done:
            if name == "promote":
                raise Permanent(Reason.REFUSED, "run-1 was rejected by its gates")
            self.calls.append((name, model, asked))
            return Done(model=model, what=f"{model}: {name} done")

        return call


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    told = Served(tmp_path)
    with told.ledger.begin() as tx:
        champions.adopt(tx, "one", "7", now=NOW - 100.0, because="first seen", reference_path="ref", reference_digest="abc")
        said = Verdict(
            detector="risk",
            subject="risk",
            outcome=Outcome.ALARM,
            evidence=EValue(log10_e=3.0, alpha=0.01),
            value=0.4,
            low=0.3,
            high=0.5,
            n=80,
            because="loss rose",
        )
        one_look = replace(said, detector="ks", subject="input.x", evidence=PValue(p=1e-9, alpha=0.01))
        quiet = replace(said, detector="psi", subject="input.y", outcome=Outcome.OK, evidence=Score(distance=0.1, limit=0.2))
        verdicts.save(tx, "one", [said, one_look, quiet], at=NOW - 10.0, epoch=1)
        incidents.open_incident(tx, incident_id="inc-1", model="one", epoch=1, now=NOW - 10.0, subjects=SUBJECTS, harmful=True)
        trigger = {"subject": "risk", "detector": "risk", "because": "loss rose", "at": "2027-01-15T08:00:00Z", "incident": "inc-1"}
        runs.create(tx, run_id="run-1", model="one", trigger=trigger, champion_version="7", folder="f", now=NOW, because="[b]loss[/b] rose")
        controls.pause(tx, "two", by="ada", because="holidays", now=NOW)
    server = uvicorn.Server(uvicorn.Config(create_api(told, told.settings, told.ledger, now=lambda: NOW), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20.0
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    monkeypatch.setenv("RETUNED_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("RETUNED_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "200")
    yield told
    server.should_exit = True
    thread.join(20.0)
    told.ledger.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.usefixtures("served")
def test_status_lists_models_with_what_alarms() -> None:
    shown = run("status")
    assert shown.exit_code == 0
    lines = {line.split()[0]: line for line in shown.output.splitlines() if line.strip()}
    assert all(word in lines["one"] for word in ("7", "blind", "risk", "inc-1", "run-1 (planned)"))
    assert "paused" in lines["two"]
    assert [m["name"] for m in json.loads(run("status", "--json").output)] == ["one", "two"]


@pytest.mark.usefixtures("served")
def test_status_of_a_model_shows_figures_with_intervals_and_evidence() -> None:
    output = run("status", "one").output
    assert "champion 7 since" in output
    assert "blind: nothing has come for long: label" in output
    assert "0.3 to 0.5" in output
    assert "log10 e 3.00 of 2.00" in output
    figures, _, incident = output.partition("incident inc-1")
    assert [line.split()[2] for line in figures.splitlines() if line.split()[:1] in (["risk"], ["input.x"], ["input.y"])] == [
        "ok",
        "differs",
        "alarm",
    ]
    assert [line.strip() for line in incident.splitlines()[1:3]] == [
        "risk: loss rose (since 2027-01-15T07:59:50.000Z)",
        "on it: nobody yet",
    ]
    assert "open, harmful: risk:risk" in incident
    assert "paused by ada: holidays" in run("status", "two").output


def test_incidents_are_listed_and_a_persons_word_on_one_reaches_the_service(served: Served) -> None:
    output = run("incidents").output
    assert all(word in output for word in ("inc-1", "risk:risk", "open", "harmful"))
    assert run("acknowledge", "inc-1", "--by", "ada", "--because", "on it").exit_code == 0
    assert run("mute", "inc-1", "--by", "ada", "--hours", "2").exit_code == 0
    assert run("close", "inc-1", "--as", "false", "--by", "ada").exit_code == 0
    assert [name for name, *_ in served.calls] == ["acknowledge", "mute", "judge"]
    assert served.calls[-1][2] == {"judged": "false", "replaces": None, "by": "ada", "because": ""}
    wrong = run("close", "inc-1", "--as", "perhaps")
    assert (wrong.exit_code, "judged" in wrong.output) == (1, True)


def test_runs_say_what_their_job_waits_for(served: Served) -> None:
    with served.ledger.begin() as tx:
        runs.keep(tx, "run-1", expected="planned", detail={"job": {"key": "k", "handle": "h", "waits": "0/3 nodes are available"}})
    assert "waits: 0/3 nodes are available" in " ".join(run("runs").output.split())


def test_the_commands_about_incidents_in_the_documentation_work(served: Served, doc_blocks: list[Block], tmp_path: Path) -> None:
    (block,) = doc_blocks
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    block.run(cwd=tmp_path, env={"PATH": path}, replace={"20261125T033429-47db1e09": "inc-1"})
    assert [name for name, *_ in served.calls] == ["acknowledge", "mute", "judge"]


@pytest.mark.usefixtures("served")
def test_a_label_plan_of_a_model_without_records_says_so_and_writes_an_empty_file(tmp_path: Path) -> None:
    done = run("label-plan", "one", "--n", "5", "--csv", str(tmp_path / "plan.csv"))
    assert done.exit_code == 0
    assert "no record of the window waits for a label" in done.output
    assert (tmp_path / "plan.csv").read_text().splitlines() == ["id,at,probability"]


@pytest.mark.usefixtures("served")
def test_runs_are_listed_with_their_reason_as_it_was_written() -> None:
    output = run("runs").output
    assert "run-1" in output
    assert "[b]loss[/b] rose" in output
    assert json.loads(run("runs", "one", "--json").output)[0]["id"] == "run-1"
    assert "no retraining yet" in run("runs", "two").output


def test_operations_carry_name_reason_and_target_and_the_token(served: Served) -> None:
    assert "one: rollback done" in run("rollback", "one", "--by", "ada", "--because", "too slow").output
    assert run("approve", "one", "--run", "run-1", "--by", "ada").exit_code == 0
    assert run("retrain", "one", "--by", "ada").exit_code == 0
    assert run("cancel", "one", "--by", "ada").exit_code == 0
    assert served.calls == [
        ("rollback", "one", {"version": None, "by": "ada", "because": "too slow"}),
        ("approve", "one", {"run": "run-1", "by": "ada", "because": ""}),
        ("retrain", "one", {"by": "ada", "because": ""}),
        ("cancel", "one", {"run": None, "by": "ada", "because": ""}),
    ]


def test_a_shift_is_absorbed_with_a_reason_and_undone_by_the_same_command(served: Served) -> None:
    for wrong in (["absorb", "one"], ["absorb", "one", "--undo", "--force"], ["absorb", "one", "--undo", "--incident", "inc-1"]):
        assert run(*wrong, "--by", "ada").exit_code == 2
    assert run("absorb", "one", "--incident", "inc-1", "--by", "ada", "--because", "a new shop").exit_code == 0
    assert run("absorb", "one", "--force", "--by", "ada", "--because", "we know").exit_code == 0
    assert run("absorb", "one", "--undo", "--by", "ada").exit_code == 0
    assert served.calls == [
        ("absorb", "one", {"incident": "inc-1", "force": False, "by": "ada", "because": "a new shop"}),
        ("absorb", "one", {"incident": None, "force": True, "by": "ada", "because": "we know"}),
        ("restore", "one", {"epoch": None, "by": "ada", "because": ""}),
    ]


def test_pause_without_a_model_pauses_all_and_signs_with_the_login_name(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    assert run("pause").exit_code == 0
    assert run("resume", "two").exit_code == 0
    assert [(name, model, asked["by"]) for name, model, asked in served.calls] == [
        ("pause", "one", "grace"),
        ("pause", "two", "grace"),
        ("resume", "two", "grace"),
    ]


def test_a_refusal_is_one_sentence_and_exit_code_1(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = run("promote", "one", "--by", "ada")
    assert (refused.exit_code, refused.stderr) == (1, "retuned: run-1 was rejected by its gates\n")
    unknown = run("status", "three")
    assert unknown.exit_code == 1
    assert "one, two" in unknown.stderr
    assert run("status", "../metrics").exit_code == 1
    monkeypatch.delenv("RETUNED_TOKEN")
    assert "Authorization: Bearer" in run("pause").stderr
    assert served.calls == []


def test_no_service_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETUNED_URL", raising=False)
    missing = run("status", "--url", "http://127.0.0.1:1")
    assert missing.exit_code == 1
    assert "retuned serve" in missing.stderr
    assert "Traceback" not in missing.output


@pytest.mark.usefixtures("served")
def test_the_service_is_found_by_the_settings_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["RETUNED_URL"]
    monkeypatch.delenv("RETUNED_URL")
    (tmp_path / "retuned.yaml").write_text("data_dir: data\nmodels: [{name: one, task: text-classification}]\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "service.json").write_text(json.dumps({"url": url, "pid": 1}))
    assert run("status", "one", "--config", str(tmp_path / "retuned.yaml")).exit_code == 0


def test_check_says_what_will_be_watched_how_often_it_errs_and_what_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETUNED_TOKEN", raising=False)
    shown = run("check", str(ROOT / "retuned.example.yaml"))
    assert shown.exit_code == 0
    assert re.search(r"drift +text_witness +1 +\S+ +one in \d{4} days", shown.output)
    assert re.search(r"fairness +fairness_gap +1 +0\.02 +ever in an epoch: at most 0\.02", shown.output)
    assert "text_witness: input.text" in shown.output
    soon = run("check", str(ROOT / "retuned.example.yaml"), "--per-day", "5000")
    assert "seen within a day of 5,000 records, in 80% of cases" in soon.output
    assert re.search(r"conformal_numeric \(output.score\): a number moves by 0\.\d\d standard deviations", soon.output)
    assert "text_witness (input.text): at best one text in 9 is of a kind that the reference does not have" in soon.output
    assert "one false alarm in at least 9" in shown.output
    assert "output.score: ks, wasserstein, psi" in shown.output
    assert "Without reference.bound" in shown.output


def test_check_prints_what_its_page_says(doc_blocks: list[Block]) -> None:
    said = doc_blocks[0].run(cwd=ROOT, env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"})
    page = (ROOT / "docs" / "check.md").read_text()
    (sample,) = re.findall(r"```\n(  seen within a day.*?)```", page, flags=re.DOTALL)
    assert sample in said
    assert all(f"  {title}" in said for title in ("mind", "informs", "explains"))


def test_check_of_bad_settings_names_file_line_and_remedy_and_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("models:\n  - {name: one, task: text-classification, labls: [a, b]}\n")
    refused = run("check", "--config", str(file))
    assert refused.exit_code == 2
    assert f"{file}: line 2: models[0].labls" in refused.stderr
    assert "did you mean 'labels'?" in refused.stderr
    assert run("serve", "--config", str(file)).exit_code == 2


def test_check_warns_of_an_open_port_that_nobody_can_operate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETUNED_TOKEN", raising=False)
    file = tmp_path / "open.yaml"
    file.write_text("http: {host: 0.0.0.0}\nmodels:\n  - {name: one, task: text-classification}\n")
    assert "set RETUNED_TOKEN" in run("check", "--config", str(file)).output


def test_replay_writes_a_summary_and_prints_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("models: [{name: one, task: text-classification, columns: {text: text}}]\n")
    base = {"model": "one", "version": "1", "inputs": {"text": "hello"}, "output": {"label": "a"}}
    lines = [json.dumps({**base, "id": str(i), "at": f"2026-11-01T00:00:{i:02d}Z"}) for i in range(50)]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    arguments = ["--config", str(tmp_path / "c.yaml"), "--records", str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "out")]
    shown = run("replay", *arguments)
    assert shown.exit_code == 0, shown.output
    assert "50 records and 0 labels" in shown.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {k: summary[k] for k in ("records", "labels", "windows", "alarms")} == {"records": 50, "labels": 0, "windows": 1, "alarms": []}
    (tmp_path / "r.jsonl").write_text("")
    assert "no usable record" in run("replay", *arguments).stderr
    (tmp_path / "r.jsonl").write_text("\n".join(lines).replace('"version": "1"', '"version": 1'))
    (tmp_path / "l.jsonl").write_text(json.dumps({"id": "0", "model": "one", "at": "2026-11-01T00:01:00Z", "label": "a"}))
    shown = run("replay", *arguments, "--labels", str(tmp_path / "l.jsonl"))
    assert (shown.exit_code, "no usable record: 50 refused (50 invalid); the first: " in shown.stderr) == (1, True), shown.output


def test_every_command_is_there_and_has_a_sentence_of_help() -> None:
    group = typer.main.get_group(app)
    found = {name: group.get_command(typer.Context(group), name) for name in group.list_commands(typer.Context(group))}
    assert set(found) == COMMANDS
    assert all(command is not None and command.help for command in found.values())


def test_demo_refuses_what_it_does_not_know() -> None:
    refused = run("demo", "--shift", "sideways")
    assert refused.exit_code == 2
    assert "abrupt or none" in refused.stderr


def test_help_starts_fast_and_without_what_only_other_commands_need() -> None:
    code = "import resource, sys; sys.argv = ['retuned', '--help']; from daemon.cli import app; app(standalone_mode=False)\n"
    code += "used = resource.getrusage(resource.RUSAGE_SELF); heavy = {'numpy', 'pydantic', 'sqlalchemy', 'fastapi', 'httpx', 'mlflow'}\n"
    code += "print('CPU', used.ru_utime + used.ru_stime, sorted(heavy & set(sys.modules)))"
    starts = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout for _ in range(3)]
    found = [re.search(r"CPU ([\d.]+) (.*)", start).groups() for start in starts]
    assert {loaded for _, loaded in found} == {"[]"}
    assert min(float(seconds) for seconds, _ in found) < 0.5  # processor time of the best of three: others share the machine
