"""SIGKILL in every state of a real run: the real service, a real training of a tiny model, MLflow's real SQLite store.

The service dies in each state, the trainer with it after a checkpoint. The run goes on where it was; one version results.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from retrain.demo.first import Wanted, make
from retrain.versions.mlflow import MlflowVersions
from tests.integration.conftest import Service, running, wait_for
from tests.tiny import make_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

WORDS = {
    ("source", "negative"): "awful dull broken bitter",
    ("source", "positive"): "lovely bright solid sweet",
    ("target", "negative"): "soggy rusty noisy stale",
    ("target", "positive"): "crisp shiny quiet fresh",
}
STATES = ("planned", "collecting", "dataset", "training", "evaluating", "gated", "registered", "promoted", "watching")

CONFIG = """
registry: {{tracking_uri: "sqlite:///{folder}/first/mlflow/mlflow.db"}}
tick_s: 1.0  # how long the briefest states last: long enough to be seen and killed in
models:
  - name: sentiment
    task: text-classification
    labels: [negative, positive]
    columns: {{text: text}}
    reference: {{kind: file, path: {data}/reference.parquet, bound: {data}/bound.parquet}}
    monitors: {{pane_s: 0.5, watermark_s: 0.3, window_s: 60, drift: null, performance: null}}
    retrain:
      base_model: {folder}/tiny
      on: [manual]
      autonomy: promote
      old_domain_margin: 0.3
      replay: {data}/replay.parquet
      old_domain: {data}/old_domain.parquet
      data: {{train_n: 120, validation_n: 16, gate_n: 80, bound_n: 30, replay_n: 120}}
      epochs: 20
      learning_rate: 0.003
      threads: 1
      watch_margin: 0.3
"""


def _corpus(path: Path, domain: str, n: int) -> list[dict[str, Any]]:
    rng = random.Random(domain)
    rows = []
    for i in range(n):
        label = ("negative", "positive")[i % 2]
        words = rng.choices(WORDS[domain, label].split(), k=6)
        rows.append({"id": f"{domain}-{i}", "text": " ".join([*words, f"{domain}{i}"]), "label": label})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def _first(folder: Path) -> list[dict[str, Any]]:
    """Version 1, champion in MLflow, and what the service's YAML names; gives the rows that traffic will bring."""
    source, target = _corpus(folder / "source.ndjson", "source", 700), _corpus(folder / "target.ndjson", "target", 700)
    make_tiny(folder / "tiny", [row["text"] for row in source + target], hidden=64)
    wanted = Wanted(
        out=folder / "first",
        source=str(folder / "source.ndjson"),
        target=str(folder / "target.ndjson"),
        has_shift=True,
        is_shuffled=False,
        seed=0,
        archive=folder,
        base_model=str(folder / "tiny"),
        model="sentiment",
        epochs=4.0,
        learning_rate=3e-3,
    )
    make(wanted)
    return target


def _post(service: Service, rows: list[dict[str, Any]], version: str, *, prefix: str) -> None:
    at = datetime.now(UTC).isoformat()
    records = [
        {
            "id": f"{prefix}{row['id']}",
            "model": "sentiment",
            "version": version,
            "at": at,
            "inputs": {"text": row["text"]},
            "output": {"label": row["label"]},
        }
        for row in rows
    ]
    labels = [{"id": r["id"], "model": "sentiment", "at": at, "label": row["label"]} for r, row in zip(records, rows, strict=True)]
    service.http.post("/v1/records", json=records).raise_for_status()
    service.http.post("/v1/labels", json=labels).raise_for_status()


class Ledger:
    """The ledger, read beside the service: only what is committed is seen."""

    def __init__(self, folder: Path) -> None:
        self._uri = f"file:{folder / 'data' / 'ledger.db'}?mode=ro"

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self._uri, uri=True, timeout=30) as connection:
            return connection.execute(query).fetchall()

    def state(self) -> str:
        return str(self.rows("select state from run")[0][0])

    def run_folder(self, folder: Path) -> Path:
        return folder / "data" / str(self.rows("select folder from run")[0][0])


def _kill_trainer(run: Path) -> None:
    """SIGKILL its whole process group, after a checkpoint that is not the last step."""
    wait_for(lambda: list(run.glob("checkpoints/step-*/.complete")), seconds=120, message="a checkpoint")
    group = json.loads(next(run.rglob("*training*/pid.json")).read_text())["pgid"]
    os.killpg(group, signal.SIGKILL)


def test_a_run_killed_in_every_state_goes_on_and_makes_one_version(tmp_path: Path) -> None:
    target = _first(tmp_path)
    config = CONFIG.format(folder=tmp_path, data=tmp_path / "first" / "data")
    ledger, killed = Ledger(tmp_path), set[str]()
    waiting = list(STATES)
    is_planned = watched = False
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        with running(tmp_path, config) as service:
            wait_for(lambda: (service.model("sentiment")["champion"] or {}).get("version"), message="a champion")
            if not is_planned:
                service.http.post("/v1/models/sentiment/retrain", json={"by": "Ada", "because": "a test"}).raise_for_status()
                is_planned = True
            if killed == {"planned", "collecting"}:
                _post(service, target[:450], "1", prefix="a")
            while (state := ledger.state()) not in {"kept", *waiting} and time.monotonic() < deadline:
                assert state not in {"failed", "rejected", "invalid", "inconclusive", "cancelled", "rolled_back"}, service.model(
                    "sentiment"
                )
                time.sleep(0.01)  # a poll with a deadline
            if state == "kept":
                break
            if state == "watching" and not watched:
                _post(service, target[450:], "2", prefix="b")
                watched = True
            if state == "training":
                _kill_trainer(ledger.run_folder(tmp_path))
            service.process.kill()
            service.process.wait(timeout=10)
            killed.add(state)
            waiting.remove(state)
    assert ledger.state() == "kept"
    assert killed == set(STATES)

    moves = ledger.rows("select data from event where kind = 'champion.moved'")
    assert len(moves) == 1
    versions = MlflowVersions(data_dir=tmp_path / "first")
    assert versions.find("sentiment", "2") is not None
    assert versions.find("sentiment", "3") is None
    wait_for(lambda: versions.aliases("sentiment").get("previous") == "1", message="the aliases")
    assert versions.aliases("sentiment")["champion"] == "2"

    steps = [json.loads(line)["step"] for line in (ledger.run_folder(tmp_path) / "progress.jsonl").read_text().splitlines()]
    restarts = [i for i in range(1, len(steps)) if steps[i] <= steps[i - 1]]
    assert steps.count(1) == 1, "training began anew"
    assert len(restarts) <= 1
    assert sorted(set(steps)) == list(range(1, max(steps) + 1)), "no step is missing"
