"""Recorded traffic through the real pipeline on a virtual clock."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.check.read import load_settings
from daemon.replay.run import replay
from daemon.replay.show import show_summary
from daemon.settings import RetrainSettings
from retrain.types import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.settings import Settings

START = 1_800_000_000.0 - 1_800_000_000.0 % 60
N, SHIFT = 3000, 1500
EVERY_S = 2.0

CONFIG = """
tick_s: 10
models:
  - name: m
    task: tabular-classification
    labels: [no, yes]
    columns: {amount: numeric, channel: category}
    reference: {kind: file, path: reference.jsonl, bound: bound.jsonl}
    monitors:
      pane_s: 60
      watermark_s: 10
      window_s: 1800
      quiet_s: 600
      drift: {mean_days_between_false_alarms: 1, together: false}
      performance: {metric: accuracy, predicted: true, mean_days_between_false_alarms: 1}
""".replace("[no, yes]", "['no', 'yes']")


def rows(seed: int, n: int, *, shift: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Records with their labels: from `shift` on, amounts are higher, the app is used more and the model is wrong more often."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        shifted = i >= shift
        said = "yes" if rng.random() < 0.5 else "no"
        wrong = rng.random() < (0.45 if shifted else 0.05)
        truth = {"yes": "no", "no": "yes"}[said] if wrong else said
        at = datetime.fromtimestamp(START + i * EVERY_S, UTC).isoformat()
        amount, channel = rng.normal(1.5 if shifted else 0.0), "app" if rng.random() < (0.9 if shifted else 0.5) else "web"
        output = {"label": said, "scores": {said: 0.9}}
        yield (
            {
                "id": f"{seed}-{i}",
                "model": "m",
                "version": "1",
                "at": at,
                "inputs": {"amount": amount, "channel": channel},
                "output": output,
            },
            {
                "id": f"{seed}-{i}",
                "model": "m",
                "at": datetime.fromtimestamp(START + i * EVERY_S + 300.0, UTC).isoformat(),
                "label": truth,
                "source": "human",
            },
        )


def write(path: Path, items: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(x) + "\n" for x in items))
    return path


def recorded(folder: Path, *, shift: int, n: int = N) -> tuple[Path, Path, Path]:
    """Settings, records and labels as files; the reference and the bound are from before any shift."""
    before = list(rows(1, 2000, shift=2000))
    write(folder / "reference.jsonl", [r for r, _ in before[:1000]])
    write(folder / "bound.jsonl", [{**r, "label": label["label"]} for r, label in before[1000:]])
    found = list(rows(2, n, shift=shift))
    (folder / "retuned.yaml").write_text(CONFIG)
    return (
        folder / "retuned.yaml",
        write(folder / "records.jsonl", [r for r, _ in found]),
        write(folder / "labels.jsonl", [label for _, label in found]),
    )


def retraining(file: Path) -> Settings:
    """The same settings with a `retrain` part (tabular models cannot be retrained yet, so `retuned check` would refuse it)."""
    settings = load_settings(file)
    retrain = RetrainSettings(base_model="./base", on=["performance", "harmful_drift"], confirm_ticks=2)
    return settings.model_copy(update={"models": [settings.models[0].model_copy(update={"retrain": retrain})]})


def test_a_calendar_time_is_listed_once(tmp_path: Path) -> None:
    config, records, labels = recorded(tmp_path, shift=1000, n=1000)
    settings = load_settings(config)
    retrain = RetrainSettings(base_model="./base", on=["schedule"], schedule="*/30 * * * *", cooldown_h=0.0)
    settings = settings.model_copy(update={"models": [settings.models[0].model_copy(update={"retrain": retrain})]})
    triggers = replay(settings, records, labels, tmp_path / "out")["triggers"]
    assert [t["kind"] for t in triggers] == ["schedule"]  # in 33 minutes


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("replay")
    config, records, labels = recorded(folder, shift=SHIFT)
    return replay(retraining(config), records, labels, folder / "out"), folder / "out"


def test_alarms_follow_the_shift_and_say_at_which_record(shifted: tuple[dict[str, Any], Path]) -> None:
    summary, _ = shifted
    assert (summary["records"], summary["labels"]) == (N, N)
    indices = [a["record_index"] for a in summary["alarms"]]
    assert len(indices) > 0
    assert min(indices) >= SHIFT
    assert min(indices) < SHIFT + 300
    first = min(summary["alarms"], key=lambda a: a["record_index"])
    assert set(first) >= {"at", "record_index", "subject", "detector", "value", "because"}
    seconds = datetime.fromisoformat(first["at"]).timestamp() - START
    assert first["record_index"] == pytest.approx(seconds / EVERY_S, abs=1.0)


def test_drift_and_risk_are_one_harmful_incident(shifted: tuple[dict[str, Any], Path]) -> None:
    summary, _ = shifted
    assert len(summary["incidents"]) == 1
    incident = summary["incidents"][0]
    assert incident["harmful"] is True
    assert {s["subject"] for s in incident["subjects"].values()} >= {"input.amount", "input.channel"}


def test_the_summary_counts_everything_that_came_in(shifted: tuple[dict[str, Any], Path]) -> None:
    summary, out = shifted
    assert json.loads((out / "summary.json").read_text()) == summary
    counters = summary["counters"]["m"]
    assert counters["accepted"]["records"] == sum(counters["records"].values()) == N
    assert counters["joins"]["joined"] == N
    assert summary["windows"] >= N * EVERY_S / 60
    assert {v["detector"] for v in summary["verdicts"]} >= {"ks", "psi", "chi_square", "conformal_numeric", "risk_change"}
    assert list(out.iterdir()) == [out / "summary.json"]


def test_the_floor_by_predictions_alarms_and_the_corrected_scores_follow_late_labels(shifted: tuple[dict[str, Any], Path]) -> None:
    summary, _ = shifted
    detectors = {v["detector"] for v in summary["verdicts"]}
    assert "ppi_floor" in detectors
    assert "accuracy_floor" not in detectors
    assert "ppi_floor" in {a["detector"] for a in summary["alarms"]}
    corrected = [v for v in summary["verdicts"] if v["detector"] == "cbpe_corrected"][-1]
    assert corrected["value"] == pytest.approx(0.55, abs=0.06)  # scores say .95, of the answers 45 in a hundred are wrong
    by_inputs = [v for v in summary["verdicts"] if v["detector"] == "cbpe_inputs"][-1]
    assert by_inputs["value"] == pytest.approx(0.95, abs=0.03)  # in the bound rows inputs say nothing of right and wrong: nor do they now
    assert "by the scores of the last 1000 answers alone (inputs are not read" in by_inputs["because"]


def test_figures_of_a_class_by_labels_and_scores_are_shown_beside_those_by_labels_alone(shifted: tuple[dict[str, Any], Path]) -> None:
    last = {(v["detector"], v["subject"]): v for v in shifted[0]["verdicts"]}
    for metric in ("precision", "recall", "f1"):
        for subject in (f"{metric}[label=no]", f"{metric}[label=yes]"):
            both, alone = last["ppi_class", subject], last[metric, subject]
            assert both["outcome"] == "ok"
            assert both["value"] == pytest.approx(alone["value"], abs=0.03)  # labels are as many as records, and scores say little
            assert both["n"] == alone["n"]


def test_the_table_is_printed_whatever_a_record_is_called(shifted: tuple[dict[str, Any], Path], capsys: pytest.CaptureFixture[str]) -> None:
    summary, out = shifted
    show_summary({**summary, "first_error": "records.jsonl, line 7: [bold]$.at[/nope]"}, out)
    printed = capsys.readouterr().out
    assert "3000 records and 3000 labels" in printed
    assert "input.amount" in printed
    assert "[bold]$.at[/nope]" in printed


def test_a_would_be_retraining_is_listed_once_with_its_reason(shifted: tuple[dict[str, Any], Path]) -> None:
    summary, _ = shifted
    (trigger,) = summary["triggers"]
    assert trigger["kind"] in {"performance", "harmful_drift"}
    assert trigger["incident"] == summary["incidents"][0]["id"]
    assert trigger["because"]
    first_alarm = min(a["told_at"] for a in summary["alarms"])
    assert trigger["at"] > first_alarm
    assert summary["counters"]["m"]["triggers"] == {trigger["kind"]: 1}


def test_without_a_shift_nothing_alarms_and_the_same_recording_gives_the_same_summary(tmp_path: Path) -> None:
    config, records, labels = recorded(tmp_path, shift=N, n=900)
    settings = load_settings(config)
    first = replay(settings, records, labels, tmp_path / "a")
    assert (first["alarms"], first["incidents"], first["triggers"]) == ([], [], [])
    assert first["records"] == 900
    assert first == replay(settings, records, labels, tmp_path / "b")


def test_a_new_version_in_the_recording_starts_a_new_epoch(tmp_path: Path) -> None:
    config, records, labels = recorded(tmp_path, shift=N, n=600)
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    write(records, [{**r, "version": "2" if i >= 300 else "1"} for i, r in enumerate(lines)])
    summary = replay(load_settings(config), records, labels, tmp_path / "out")
    assert {v["epoch"] for v in summary["verdicts"]} >= {2}
    numbers = {v["detector"]: v["n"] for v in summary["verdicts"] if v["epoch"] == 2}
    assert numbers["conformal_numeric"] == 300


def test_where_the_recording_is_silent_for_days_the_clock_takes_long_steps(tmp_path: Path) -> None:
    config, records, _ = recorded(tmp_path, shift=N, n=60)
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    late = datetime.fromtimestamp(START + 5 * 86400.0, UTC).isoformat()
    write(records, [*lines, {**lines[0], "id": "last", "at": late}])
    ticks: list[float] = []
    summary = replay(load_settings(config), records, None, tmp_path / "out", progress=lambda now, _: ticks.append(now))
    assert summary["counters"]["m"]["records"] == {"stored": 61}
    assert len(ticks) < 5 * 24 + 60 + 20  # hours, then the minutes of the last hour; 7,200 without long steps
    assert ticks == sorted(set(ticks))


def test_an_empty_recording_is_told(tmp_path: Path) -> None:
    config, records, _ = recorded(tmp_path, shift=N, n=1)
    records.write_text('{"id": "x"}\n')
    with pytest.raises(Permanent, match="no usable record"):
        replay(load_settings(config), records, None, tmp_path / "out")


def test_a_traceback_in_a_replay_shows_no_record(tmp_path: Path) -> None:
    (tmp_path / "retuned.yaml").write_text("models: [{name: m, task: tabular-regression}]\n")
    program = """
import sys, structlog
from daemon.replay import run
def replay(*_, **__):
    record = "a text of somebody" + "'s"
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("detector.failed")
    sys.exit(7)
run.replay = replay
from daemon.cli import app
app()
"""
    command = [sys.executable, "-c", program, "replay", "--records", "none.jsonl", "--config", str(tmp_path / "retuned.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = json.loads(done.stderr.strip().splitlines()[-1])
    assert (done.returncode, said["event"]) == (7, "detector.failed")
    assert "ValueError: broken" in said["exception"]
    assert "somebody's" not in done.stdout + done.stderr
