"""Traffic that goes bad, for tests that look at the service from outside: a classifier with text, a number, a category and a protected
column, its labels, and a shift after which it is wrong too often. The champion is registered, so that an incident leads to a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from retrain.versions.mlflow import MlflowVersions
from tests.integration.conftest import Service, running

MODEL, QUIET, STEADY = "support", "billing", "routing"
"""QUIET is watched only and still learning its reference; STEADY, when asked for, stays good."""
_WORDS = {
    False: ("the", "delivery", "was", "quick", "and", "parcel", "arrived", "in", "good", "order", "thank", "you", "all", "very", "much"),
    True: ("app", "crashes", "after", "login", "screen", "frozen", "update", "broke", "payment", "error", "again", "please", "refund"),
}
_CONFIG = """
tick_s: 0.3
models:
  - name: billing
    task: tabular-classification
    labels: ["no", "yes"]
    columns: {{amount: numeric}}
    sample_ratio: 0.5
    monitors: {{pane_s: 1.0, watermark_s: 0.3}}
"""
_WATCHED = """
  - name: {model}
    task: text-classification
    labels: [negative, positive]
    columns: {{text: text, amount: numeric, channel: category, age_band: {{kind: category, protected: true}}}}
    reference: {{kind: file, path: {folder}/reference.jsonl, bound: {folder}/reference.jsonl}}
    monitors:
      drift: {{mean_days_between_false_alarms: 1}}
      performance: {{metric: f1, max_drop: 0.05, mean_days_between_false_alarms: 1}}
      fairness: {{metric: equalized_odds_difference, by: [age_band], maximum: 0.1, min_n: 20}}
      pane_s: {pane_s}
      watermark_s: 0.3
      window_s: {window_s}
      quiet_s: {quiet_s}
"""
_RETRAINED = """
    retrain: {{base_model: {folder}/base, confirm_ticks: 1, data: {{train_n: 50000}}}}
"""


@dataclass
class Scene:
    """A running service and its traffic; `is_bad` turns the traffic."""

    service: Service
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    is_bad: bool = False
    has_steady: bool = False
    n: int = 0
    posted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """Of the last record."""
    later: list[list[dict[str, Any]]] = field(default_factory=list)
    """Labels that have not come yet, by batch."""

    def post(self, n: int = 40) -> None:
        """A batch of records, a duplicate, a late one and three malformed, and the labels of most of the batch before the last."""
        rows = [_row(self.rng, f"r{self.n + i}", is_bad=self.is_bad) for i in range(n)]
        if self.has_steady:
            rows += [_row(self.rng, f"s{self.n + i}", is_bad=False, model=STEADY) for i in range(n // 2)]
        self.n += n
        self.later.append([_label(row, truth) for row, truth in rows if self.rng.random() < 0.8])
        records = [row for row, _ in rows]
        self.posted_at = datetime.fromisoformat(records[-1]["at"])
        late = {**records[1], "id": f"late{self.n}", "at": _ago(hours=12)}
        self._send("records", [*records, {**records[0]}, late, *[{"id": "malformed"}] * 3])
        self._send("records", [_quiet(self.rng, f"q{self.n + i}") for i in range(5)])
        if len(self.later) > 2:
            self._send("labels", self.later.pop(0))

    def verdicts(self) -> list[dict[str, Any]]:
        return list(self.service.model(MODEL)["verdicts"])

    def is_read(self) -> bool:
        """Whether the sequential detectors have had the panes of all that was posted."""
        judged = [v["at"] for v in self.verdicts() if v["evidence"]["kind"].startswith("e_")]
        return bool(judged) and datetime.fromisoformat(max(judged)) >= self.posted_at

    def is_harmed(self) -> bool:
        """Whether an open incident is harmful by now."""
        return any(i["is_harmful"] and i["closed_at"] is None for i in self.service.model(MODEL)["incidents"])

    def is_collecting(self) -> bool:
        """Whether it led to a run that waits for labels."""
        return any(run["state"] == "collecting" for run in self.service.model(MODEL)["runs"])

    def judge(self, judged: str) -> None:
        """A person closes the open incident."""
        incident = next(i["id"] for i in self.service.model(MODEL)["incidents"] if i["closed_at"] is None)
        self.service.http.post(f"/v1/incidents/{incident}/close", json={"by": "ada", "judged": judged}).raise_for_status()

    def _send(self, what: str, rows: list[dict[str, Any]]) -> None:
        answer = self.service.http.post(f"/v1/{what}", json=rows)
        assert answer.status_code in {200, 202, 400, 422}, answer.text


@contextmanager
def scene(
    folder: Path, *, pane_s: float = 1.0, window_s: float = 30.0, quiet_s: float = 3600.0, more: str = "", has_steady: bool = False
) -> Iterator[Scene]:
    """The service on a registered champion; `more`: further lines of YAML at the top."""
    rng = np.random.default_rng(1)
    rows = [_row(rng, f"ref{i}", is_bad=False) for i in range(600)]
    (folder / "reference.jsonl").write_text("\n".join(json.dumps({**row, "label": truth}) for row, truth in rows))
    _write(folder / "base", {"config.json": "{}", "model.safetensors": "weights"})
    _write(folder / "adapter", {"adapter_config.json": "{}", "adapter_model.safetensors": "weights"})
    versions = MlflowVersions(data_dir=folder / "data")
    made = versions.stage(MODEL, folder / "adapter", key="first", tags={})
    versions.put_alias(MODEL, "champion", made.version)
    names = [MODEL, STEADY] if has_steady else [MODEL]
    watched = {name: _WATCHED.format(model=name, folder=folder, pane_s=pane_s, window_s=window_s, quiet_s=quiet_s) for name in names}
    watched[MODEL] += _RETRAINED.format(folder=folder)
    with running(folder, more + _CONFIG.format() + "".join(watched.values())) as service:
        yield Scene(service, has_steady=has_steady)


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


def _row(rng: np.random.Generator, name: str, *, is_bad: bool, model: str = MODEL) -> tuple[dict[str, Any], str]:
    """(record, its true label): right in 93 of 100 before the shift, in 60 after it; one group is served worse then."""
    truth, group = str(rng.choice(["negative", "positive"])), str(rng.choice(["young", "old"]))
    p_right = 0.93 if not is_bad else 0.9 if group == "young" else 0.3
    answer = truth if rng.random() < p_right else {"negative": "positive", "positive": "negative"}[truth]
    score = float(rng.beta(8, 2))
    other = "positive" if answer == "negative" else "negative"
    record = {
        "id": name,
        "model": model,
        "version": "1",
        "at": _ago(seconds=0),
        "inputs": {
            "text": " ".join(rng.choice(_WORDS[is_bad], size=12)),
            "amount": float(rng.normal(2.0 if is_bad else 0.0)),
            "channel": str(rng.choice(["web", "app"], p=[0.2, 0.8] if is_bad else [0.6, 0.4])),
        },
        "segments": {"age_band": group},
        "output": {"label": answer, "scores": {answer: score, other: 1.0 - score}},
    }
    return record, truth


def _label(record: dict[str, Any], truth: str) -> dict[str, Any]:
    return {"id": record["id"], "model": record["model"], "at": record["at"], "label": truth, "source": "agent"}


def _quiet(rng: np.random.Generator, name: str) -> dict[str, Any]:
    inputs = {"amount": float(rng.normal())}
    return {"id": name, "model": QUIET, "version": "3", "at": _ago(seconds=0), "inputs": inputs, "output": {"label": "yes"}}


def _ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).isoformat()
