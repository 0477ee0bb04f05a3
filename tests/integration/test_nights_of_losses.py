"""Nights of harder cases through the real pipeline: an alarm of the loss every night, with the rhythm in the settings only of the rise."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.replay.run import replay
from daemon.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

START = 1_789_948_800.0  # Monday 2026-09-21, midnight UTC
HOUR_S, EVERY_S, DAYS, RISE_DAY, BOUND_N = 3600.0, 120.0, 4, 3, 1500


def row(rng: np.random.Generator, name: str, at: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """(record, its label, six hours later): off by 1 by day and by 1.6 until eight; from `RISE_DAY` on 1.5 times as far."""
    scale = (1.6 if at / HOUR_S % 24 < 8 else 1.0) * (1.5 if at >= START + RISE_DAY * 86_400 else 1.0)
    when, later = (datetime.fromtimestamp(at + wait, UTC).isoformat() for wait in (0.0, 6 * HOUR_S))
    record = {"id": name, "model": "m", "version": "1", "at": when, "inputs": {"x": float(rng.normal())}, "output": {"value": 0.0}}
    return record, {"id": name, "model": "m", "at": later, "source": "human", "value": scale * float(rng.normal())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records and labels of four days, and rows of the week before."""
    found, rng = tmp_path_factory.mktemp("nights"), np.random.default_rng(6)
    made = [row(rng, f"r{i}", START + EVERY_S * i) for i in range(int(DAYS * 86_400 / EVERY_S))]
    before = [row(rng, f"b{i}", START - 86_400.0 * 7 * (i + 0.5) / BOUND_N) for i in range(BOUND_N)]
    files = {"records": [r for r, _ in made], "labels": [y for _, y in made], "bound": [{**r, "label": y["value"]} for r, y in before]}
    for name, items in files.items():
        (found / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return found


def days_of_alarm(folder: Path, out: Path, rhythm: str) -> list[float]:
    """Of a rise of the loss: each day, of the recording, on which it begins to alarm."""
    model = {
        "name": "m",
        "task": "tabular-regression",
        "columns": {"x": "numeric"},
        "reference": {"kind": "file", "path": folder / "bound.jsonl", "bound": folder / "bound.jsonl", "rhythm": rhythm},
        "monitors": {"pane_s": HOUR_S, "window_s": 4 * HOUR_S, "quality": None, "drift": None, "performance": {}},
    }
    settings = Settings.model_validate({"data_dir": out / "data", "tick_s": 1800, "models": [model]})
    summary = replay(settings, folder / "records.jsonl", folder / "labels.jsonl", out / "out")
    at = [datetime.fromisoformat(a["at"]).timestamp() for a in summary["alarms"] if a["detector"] == "risk_value_rise"]
    return [(when - START) / 86_400 for when in at]


def test_nights_alarm_without_the_rhythm_and_with_it_only_the_rise_does(tmp_path: Path, folder: Path) -> None:
    without = days_of_alarm(folder, tmp_path / "without", "none")
    assert len({int(day - 0.25) for day in without if day < RISE_DAY}) >= 2
    by_hour = days_of_alarm(folder, tmp_path / "by hour", "hour_of_day")
    assert by_hour
    assert RISE_DAY + 0.25 <= min(by_hour) < RISE_DAY + 0.75  # labels are six hours late, and of the hours of their records
