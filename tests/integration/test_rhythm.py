"""Traffic with a rhythm: `retuned check` finds and proposes it, and with it in the settings a morning is no alarm and a shift still is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from daemon.cli import app
from daemon.replay.read import Recording
from daemon.replay.run import _ledger, _Player, _silent, replay
from daemon.settings import Settings
from daemon.store import rows
from daemon.store.ledger import Ledger
from daemon.watched.recorded import Recorded
from daemon.watched.rhythm import look_for_rhythm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR_S, EVERY_S = 3600.0, 120.0
START = 1_789_948_800.0  # Monday 2026-09-21, midnight UTC
LEARN_DAYS, DAYS, SHIFT_DAY = 3, 5, 4
RHYTHM = {"rhythm": "hour_of_day", "learn_days": 7, "learn_n": 1200}


def config(reference: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "m",
        "task": "tabular-regression",
        "columns": {"amount": "numeric", "channel": "category", "calm": "numeric"},
        "reference": reference,
        "monitors": {
            "pane_s": HOUR_S,
            "window_s": 4 * HOUR_S,
            "drift": {"mean_days_between_false_alarms": 20, "together": False},
            "quality": None,
        },
    }


def traffic(days: float, *, shift_day: float = 1e9) -> Iterator[dict[str, Any]]:
    """By day amounts are two sd higher and the app is used more; from `shift_day` on amounts are one higher at any hour."""
    rng = np.random.default_rng(3)
    for i in range(int(days * 86_400 / EVERY_S)):
        at = START + i * EVERY_S
        by_day = 8 <= at / HOUR_S % 24 < 20
        amount = rng.normal(2.0 * by_day + (i * EVERY_S >= shift_day * 86_400))
        inputs = {"amount": amount, "channel": "app" if rng.random() < (0.8 if by_day else 0.4) else "web", "calm": rng.normal()}
        when = datetime.fromtimestamp(at, UTC).isoformat()
        yield {"id": f"r{i}", "model": "m", "version": "1", "at": when, "inputs": inputs, "output": {"value": rng.normal()}}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recorded") / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, traffic(DAYS, shift_day=SHIFT_DAY))))
    return file


def replayed(folder: Path, recording: Path, reference: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.model_validate({"data_dir": folder / "data", "models": [config(reference)]})
    return replay(settings, recording, None, folder / "out")


def alarms(summary: dict[str, Any]) -> list[tuple[str, float]]:
    """(subject, day in the recording) of each alarm, in order."""
    at = [(a["subject"], datetime.fromisoformat(a["at"]).timestamp()) for a in summary["alarms"]]
    return [(subject, (when - START) / 86_400) for subject, when in at]


def test_without_the_rhythm_every_morning_alarms_and_with_it_only_the_shift_does(tmp_path: Path, recording: Path) -> None:
    without = replayed(tmp_path / "without", recording, {"learn_days": LEARN_DAYS})
    assert {subject for subject, day in alarms(without) if day < SHIFT_DAY} == {"input.amount", "input.channel"}
    by_hour = replayed(tmp_path / "with", recording, {**RHYTHM, "learn_days": LEARN_DAYS})
    found = alarms(by_hour)
    assert [subject for subject, _ in found] == ["input.amount"]
    assert SHIFT_DAY < found[0][1] < SHIFT_DAY + 0.5
    last = [{v["detector"]: v["value"] for v in s["verdicts"] if v["subject"] == "input.channel"} for s in (without, by_hour)]
    assert last[0]["total_variation"] > 0.15, "by night the app is used less than in the reference of all hours"
    assert last[1]["total_variation"] < 0.15, "and as much as in that of the night"


def test_mornings_about_other_things_alarm_without_the_rhythm_and_with_it_a_third_topic_does(tmp_path: Path) -> None:
    """60 texts an hour of two topics by the hour, on the last day half of them of a third one; and check proposes the rhythm."""
    rng, lines = np.random.default_rng(5), []
    for i in range(DAYS * 1440):
        at = START + 60.0 * i
        stem = "cook" if i >= SHIFT_DAY * 1440 and rng.random() < 0.5 else "bill" if 8 <= at / HOUR_S % 24 < 20 else "film"
        text = " ".join(f"{stem}{w}" for w in rng.integers(100, 140, rng.integers(4, 12)))
        when = datetime.fromtimestamp(at, UTC).isoformat()
        lines.append({"id": f"r{i}", "model": "m", "version": "1", "at": when, "inputs": {"text": text}, "output": {"value": 1.0}})
    recording = tmp_path / "records.jsonl"
    recording.write_text("\n".join(map(json.dumps, lines)))
    found = {}
    for rhythm in ("none", "hour_of_day"):
        model = {**config({"learn_days": LEARN_DAYS, "rhythm": rhythm}), "columns": {"text": "text"}}
        settings = Settings.model_validate({"data_dir": tmp_path / rhythm / "data", "models": [model]})
        said = replay(settings, recording, None, tmp_path / rhythm / "out")
        found[rhythm] = [day for _, day in alarms({"alarms": [a for a in said["alarms"] if a["detector"] == "text_witness"]})]
    assert min(found["none"]) < SHIFT_DAY, "mornings are no trouble, so there is nothing to remedy"
    assert SHIFT_DAY < min(found["hour_of_day"]) < SHIFT_DAY + 0.5
    file = tmp_path / "retuned.yaml"
    file.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data"), "models": [{**config({}), "columns": {"text": "text"}}]}))
    told = CliRunner().invoke(app, ["check", str(file), "--records", str(recording)]).output
    assert "input.text has a daily rhythm" in told
    pasted = yaml.safe_load(told[told.index("    reference:\n") : told.index("  seen within a day")])
    assert pasted == {"reference": RHYTHM}


def checked(tmp_path: Path, *arguments: str) -> str:
    file = tmp_path / "retuned.yaml"
    file.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data"), "models": [config({})]}))
    shown = CliRunner().invoke(app, ["check", str(file), *arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_check_finds_the_rhythm_and_what_it_proposes_can_be_pasted(tmp_path: Path, recording: Path) -> None:
    told = checked(tmp_path, "--records", str(recording))
    assert "3,600 records of version 1 in 5.0 days, 720 a day" in told
    assert "input.amount has a daily rhythm: the hour of the day explains" in told
    assert "input.channel has a daily rhythm" in told
    assert "calm has a" not in told
    assert "A rhythm by hour of the week was not looked for: that takes records of 14 days." in told
    assert "seen within a day of 720 records, in 80% of cases" in told
    pasted = yaml.safe_load(told[told.index("    reference:\n") : told.index("  seen within a day")])
    assert pasted == {"reference": RHYTHM}
    settings = Settings.model_validate({"models": [config(pasted["reference"])]})
    assert settings.models[0].reference.rhythm.hours_n == 24


def test_check_answers_as_data(tmp_path: Path, recording: Path) -> None:
    (model,) = json.loads(checked(tmp_path, "--records", str(recording), "--json"))["models"]
    assert model["proposal"] == {"reference": RHYTHM}
    assert model["recorded"]["records_per_day"] == pytest.approx(720, rel=0.01)
    assert {f["subject"] for f in model["rhythms"] if f["found"]} == {"input.amount", "input.channel"}
    (amount,) = (f for f in model["rhythms"] if f["subject"] == "input.amount")
    assert amount["explained_ratio"] == pytest.approx(0.5, abs=0.08)  # var of the means 1, of the rest 1, by ranks a little less
    assert model["promised_days"] > 0
    soon = {one["subject"]: one["smallest"] for one in model["seen_within_a_day"]}
    assert 0.1 < soon["input.calm"] < 0.5
    assert 0.6 < soon["input.channel"] < 0.8  # from 0.6
    assert {"detector": "conformal_numeric", "subject": "input.calm"}.items() <= model["alarms"][1].items()


def test_check_reads_what_the_service_recorded_and_the_reference_is_spread_over_the_days(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, traffic(4))))
    data = tmp_path / "data"
    data.mkdir()
    ledger = _ledger(data)
    settings = Settings.model_validate({"data_dir": data, "models": [config({})]})
    _Player(settings, ledger, _silent).play(Recording(file, None, models={"m"}, work=data))
    ledger.close()
    told = checked(tmp_path, "--ledger")
    assert "2,880 records of version 1 in 4.0 days" in told
    assert "input.amount has a daily rhythm" in told
    ledger = Ledger(f"sqlite:///{data / 'ledger.db'}")
    with ledger.read() as tx:
        table = rows.sampled(tx, data, "m", since=START + 86_400, until=START + 4 * 86_400, version="1", limit=500)
    ledger.close()
    ats = np.array(table["at"].to_pylist())
    assert len(ats) == 500
    by_hour = np.bincount(((ats - START) // HOUR_S).astype(int) % 24, minlength=24)
    assert by_hour.min() >= 8
    assert ats.min() >= START + 86_400


def test_check_of_a_recording_that_is_none_says_so(tmp_path: Path) -> None:
    file = tmp_path / "retuned.yaml"
    file.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data"), "models": [config({})]}))
    (tmp_path / "empty.jsonl").write_text('{"id": 1}\n')
    for arguments, says in (
        (["--records", str(tmp_path / "empty.jsonl")], "no usable record"),
        (["--ledger"], "no ledger yet"),
    ):
        shown = CliRunner().invoke(app, ["check", str(file), *arguments])
        assert (shown.exit_code, says in shown.stderr) == (1, True), shown.output
    both = CliRunner().invoke(app, ["check", str(file), "--records", str(file), "--ledger"])
    assert both.exit_code == 2


def test_a_steep_rhythm_of_much_traffic_is_told_apart_by_quarters_of_hours(tmp_path: Path) -> None:
    """The same records, as if a hundred times as many had come."""
    rng = np.random.default_rng(4)
    ats = START + np.sort(rng.random(8000)) * 7 * 86_400
    columns = {"input.amount": 1.4 * np.sin(2.0 * np.pi * ats / 86_400) + rng.normal(size=len(ats))}
    (model,) = Settings.model_validate({"data_dir": tmp_path, "models": [config({})]}).models
    proposed = []
    for n in (8000, 800_000):
        traffic = Recorded(n=n, labels_n=0, first_at=ats[0], last_at=ats[-1], version="1", versions_n=1, columns=columns, ats=ats)
        found = look_for_rhythm(model, traffic)
        assert found.found[0].steepness == pytest.approx(1.4 * 2 * np.pi / 48, rel=0.4)  # the largest of 24, each .04 off
        proposed.append((found.proposal or {})["rhythm"])
    assert proposed == ["hour_of_day", "quarter_hour_of_day"]
