"""A model without a reference learns one from its traffic, and from then on alarms against it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from daemon.replay import replay
from daemon.settings import Settings

_START = 1_790_000_000.0


def _record(i: int, x: float) -> str:
    at = datetime.fromtimestamp(_START + 10 * i, UTC).isoformat()
    return json.dumps({"id": f"r{i}", "model": "m", "version": "1", "at": at, "inputs": {"x": x}, "output": {"value": 1.0}})


def test_the_first_traffic_becomes_the_reference_and_a_later_shift_alarms(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = [*rng.normal(size=900), *rng.normal(3.0, size=600)]
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(_record(i, float(x)) for i, x in enumerate(values)))
    model = {
        "name": "m",
        "task": "tabular-regression",
        "columns": {"x": "numeric"},
        "reference": {"kind": "learn", "learn_days": 0.05, "learn_n": 400},
        "monitors": {"pane_s": 300, "drift": {"mean_days_between_false_alarms": 1}},
    }
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "models": [model]})
    summary = replay(settings, records, None, tmp_path / "out")
    first = summary["alarms"][0]
    assert first["subject"] == "input.x"
    assert 900 < first["record_index"] < 1300
    assert {verdict["subject"] for verdict in summary["verdicts"]} >= {"input.x"}
