"""Few bound rows through the real pipeline: a drift that makes the model worse is harmful by the labels from before it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.check.read import load_settings
from daemon.replay.run import replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = 1_800_000_000.0 - 1_800_000_000.0 % 60
N, SHIFT, EVERY_S = 2000, 800, 3.0
BOUND_N = 200

CONFIG = """
tick_s: 10
models:
  - name: m
    task: tabular-classification
    labels: [bad, good]
    columns: {{amount: numeric}}
    reference: {{kind: file, path: reference.jsonl, bound: {bound}}}
    monitors:
      pane_s: 60
      watermark_s: 10
      window_s: 1800
      drift: {{columns: [amount], mean_days_between_false_alarms: 1}}
      quality: null
      performance: {{mean_days_between_false_alarms: 1}}
"""


def rows(rng: np.random.Generator, n: int, *, shift: int, seed: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(record, label): right in 76 of 100, then in 59; a bound row has both. Without a shift the errors come evenly: 48 of 200."""
    for i in range(n):
        is_shifted = i >= shift
        label = str(rng.choice(["bad", "good"]))
        is_wrong = rng.random() < 0.41 if is_shifted else i % 25 in {1, 5, 9, 13, 17, 21} if shift > n else rng.random() < 0.24
        at, later = (datetime.fromtimestamp(START + i * EVERY_S + wait, UTC).isoformat() for wait in (0.0, 300.0))
        output = {"label": {"bad": "good", "good": "bad"}[label] if is_wrong else label}
        inputs = {"amount": float(rng.normal(1.5 if is_shifted else 0.0))}
        record = {"id": f"{seed}-{i}", "model": "m", "version": "1", "at": at, "inputs": inputs, "output": output}
        yield record, {"id": f"{seed}-{i}", "model": "m", "at": later, "source": "human", "label": label}


@pytest.mark.parametrize("has_bound", [True, False])
def test_a_drift_is_harmful_where_the_bound_alone_would_not_tell(tmp_path: Path, *, has_bound: bool) -> None:
    rng = np.random.default_rng(3)
    before = list(rows(rng, 600, shift=10_000, seed="old"))
    found = list(rows(rng, N, shift=SHIFT, seed="new"))
    files = {"reference": [r for r, _ in before[BOUND_N:]], "bound": [{**r, "label": y["label"]} for r, y in before[:BOUND_N]]}
    files |= {"records": [r for r, _ in found], "labels": [y for _, y in found]}
    for name, items in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "retuned.yaml").write_text(CONFIG.format(bound="bound.jsonl" if has_bound else "null"))
    settings = load_settings(tmp_path / "retuned.yaml")
    summary = replay(settings, tmp_path / "records.jsonl", tmp_path / "labels.jsonl", tmp_path / "out")
    assert summary["counters"]["m"]["joins"]["joined"] == N
    assert min(a["record_index"] for a in summary["alarms"]) >= SHIFT
    of_loss = {a["detector"]: a["record_index"] for a in reversed(summary["alarms"]) if a["subject"] == "risk"}
    assert set(of_loss) == {"risk_rise"}
    assert SHIFT + 100 < of_loss["risk_rise"] < N
    assert [incident["harmful"] for incident in summary["incidents"]] == [True]
    latest = {v["detector"]: v for v in summary["verdicts"] if v["subject"] == "risk"}
    assert {v["outcome"] for name, v in latest.items() if name != "risk_rise"} <= {"ok"}
