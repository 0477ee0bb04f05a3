"""A regression, and a model that writes texts which a judge scores, through the real pipeline: labels late, then worse answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.check.read import load_settings
from daemon.replay.run import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START = 1_800_000_000.0 - 1_800_000_000.0 % 60
N, SHIFT, EVERY_S = 1600, 800, 3.0

CONFIG = """
tick_s: 10
models:
  - name: m
    task: {task}
    columns: {{amount: numeric, judge: numeric, band: {{kind: category, protected: true}}}}
    score_range: [1, 5]
    reference: {{kind: file, path: reference.jsonl, bound: bound.jsonl}}
    monitors:
      pane_s: 60
      watermark_s: 10
      window_s: 1800
      drift: {{columns: [amount], mean_days_between_false_alarms: 1}}
      quality: null
      performance: {{mean_days_between_false_alarms: 1, predicted: {predicted}}}
      fairness: {{by: [band], metrics: [{fair}], maximum: 0.03, alpha: 0.01}}
"""
Said = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""(output, label as posted, the same as a row of the bound file has it)."""


def number(rng: np.random.Generator, *, worse: bool, is_old: bool) -> Said:
    """Worse: twice as far off for the old."""
    truth = float(rng.normal(50.0, 10.0))
    off = (16.0 if is_old else 6.0) if worse else 2.0
    return {"value": truth + float(rng.normal(0.0, off))}, {"value": truth}, {"label": truth}


def text(rng: np.random.Generator, *, worse: bool, is_old: bool) -> Said:
    """Half are judged from 1 to 5, half come with the wanted text. Worse: for the old most of all."""
    is_good = bool(rng.random() < ((0.25 if is_old else 0.75) if worse else 0.95))
    if rng.random() < 0.5:
        score = 4.5 if is_good else 2.0
        return {"text": "An answer."}, {"score": score}, {"judgement": score}
    wanted = "An  ANSWER." if is_good else "Another one."
    return {"text": "An answer."}, {"text": wanted}, {"label": wanted}


def rows(say: Callable[..., Said], seed: int, n: int) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    rng = np.random.default_rng(seed)
    for i in range(n):
        is_old = bool(rng.random() < 0.5)
        output, label, row = say(rng, worse=i >= SHIFT, is_old=is_old)
        at, later = (datetime.fromtimestamp(START + i * EVERY_S + wait, UTC).isoformat() for wait in (0.0, 400.0))
        amount = float(rng.normal(1.5 if i >= SHIFT else 0.0))
        judge = (8.0 if label.get("score") == 4.5 or str(label.get("text")).endswith("ANSWER.") else 5.0) + float(rng.normal(0.0, 1.5))
        inputs = {"amount": amount, "judge": judge}
        record = {"id": f"{seed}-{i}", "model": "m", "version": "1", "at": at, "inputs": inputs, "output": output}
        record["segments"] = {"band": "old" if is_old else "young"}
        yield record, {"id": f"{seed}-{i}", "model": "m", "at": later, "source": "human", **label}, {**record, **row}


@pytest.mark.parametrize(
    ("task", "say", "floor", "risk", "informs", "fair", "predicted"),
    [
        ("tabular-regression", number, "value_ceiling", "risk_value_change", {"mae", "rmse", "r2"}, "error_difference", "false"),
        ("text-generation", text, "score_floor", "risk_judged_change", {"score"}, "score_difference", "false"),
        ("text-generation", text, "ppi_score_floor", "risk_judged_change", {"score"}, "score_difference", "judge"),
    ],
)
def test_worse_answers_are_noticed_by_their_labels_and_harmful(
    tmp_path: Path, *, task: str, say: Callable[..., Said], floor: str, risk: str, informs: set[str], fair: str, predicted: str
) -> None:
    before, found = list(rows(say, 1, SHIFT)), list(rows(say, 2, N))
    files = {"reference": [r for r, _, _ in before[:400]], "bound": [b for _, _, b in before[400:]]}
    files |= {"records": [r for r, _, _ in found], "labels": [label for _, label, _ in found]}
    for name, items in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "retuned.yaml").write_text(CONFIG.format(task=task, fair=fair, predicted=predicted))
    settings = load_settings(tmp_path / "retuned.yaml")
    summary = replay(settings, tmp_path / "records.jsonl", tmp_path / "labels.jsonl", tmp_path / "out")
    assert summary["counters"]["m"]["joins"]["joined"] == N
    first = {a["detector"]: a for a in reversed(summary["alarms"])}
    assert {floor, risk, "fairness_score_gap"} <= set(first)
    assert first["fairness_score_gap"]["subject"] == f"{fair}[by=band]"
    assert min(a["record_index"] for a in summary["alarms"]) >= SHIFT
    assert first[floor]["record_index"] < SHIFT + 600
    assert [incident["harmful"] for incident in summary["incidents"]] == [True]
    latest = {v["detector"]: v for v in summary["verdicts"]}
    assert informs <= set(latest)
    assert all(latest[name]["n"] > 100 for name in informs)
    assert {latest[name]["outcome"] for name in informs - {"r2", "rmse"}} == {"alarm"}
    assert latest["score_gap"]["value"] > latest["score_gap"]["limit"] > 0.0
