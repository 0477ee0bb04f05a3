"""A bad day, for real: a tiny classifier of one domain meets another one.

It answers worse, alarms open an incident, a run collects labels, trains, is judged, and waits for a person.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retrain.demo.first import Wanted, make
from retrain.layout import RunFolder
from retrain.scorer import Scorer
from tests.integration.conftest import Service, running, wait_for
from tests.tiny import make_tiny

MODEL = "support-sentiment"
_WORDS = {
    ("source", "negative"): "awful dull broken bitter",
    ("source", "positive"): "lovely bright solid sweet",
    ("target", "negative"): "soggy rusty noisy stale",
    ("target", "positive"): "crisp shiny quiet fresh",
}
_CONFIG = """
registry: {{tracking_uri: "sqlite:///{folder}/first/mlflow/mlflow.db"}}
tick_s: 0.3
models:
  - name: {model}
    task: text-classification
    labels: [negative, positive]
    columns: {{text: text}}
    reference: {{kind: file, path: {data}/reference.parquet, bound: {data}/bound.parquet}}
    monitors:
      pane_s: 0.5
      watermark_s: 0.2
      window_s: 20
      drift: {{mean_days_between_false_alarms: 1}}
      performance: {{metric: f1, max_drop: 0.05, mean_days_between_false_alarms: 1}}
    retrain:
      base_model: {folder}/tiny
      autonomy: stage
      confirm_ticks: 1
      old_domain_margin: 0.3
      replay: {data}/replay.parquet
      old_domain: {data}/old_domain.parquet
      data: {{train_n: 120, validation_n: 16, gate_n: 80, bound_n: 30, replay_n: 120}}
      epochs: 8
      learning_rate: 0.003
      threads: 1
  - {{name: billing-churn, task: tabular-classification, labels: ["no", "yes"], columns: {{amount: numeric}}}}
"""


def _corpus(path: Path, domain: str, n: int) -> list[str]:
    rng, texts = random.Random(domain), []
    with path.open("w") as out:
        for i in range(n):
            label = ("negative", "positive")[i % 2]
            texts.append(" ".join([*rng.choices(_WORDS[domain, label].split(), k=6), f"{domain}{i}"]))
            out.write(json.dumps({"id": f"{domain}-{i}", "text": texts[-1], "label": label}) + "\n")
    return texts


def _first(folder: Path) -> None:
    """Version 1, trained on the source and champion in MLflow; what traffic brings before and after the shift."""
    texts = [text for domain, n in (("source", 1000), ("target", 700)) for text in _corpus(folder / f"{domain}.ndjson", domain, n)]
    make_tiny(folder / "tiny", texts, hidden=64)
    make(
        Wanted(
            out=folder / "first",
            source=str(folder / "source.ndjson"),
            target=str(folder / "target.ndjson"),
            has_shift=True,
            is_shuffled=False,
            seed=0,
            archive=folder,
            base_model=str(folder / "tiny"),
            model=MODEL,
            epochs=2.0,
            learning_rate=3e-3,
        )
    )


def _post(service: Service, rows: list[dict[str, str]], scorer: Scorer) -> None:
    """Traffic that version 1 answers, with a person's label for each record."""
    at = datetime.now(UTC).isoformat()
    records, labels = [], []
    for row, (answer, scores) in zip(rows, scorer.answer([row["text"] for row in rows]), strict=True):
        record = {"id": row["id"], "model": MODEL, "at": at}
        records.append({**record, "version": "1", "inputs": {"text": row["text"]}, "output": {"label": answer, "scores": scores}})
        labels.append({**record, "label": row["label"], "source": "agent"})
    service.http.post("/v1/records", json=records).raise_for_status()
    service.http.post("/v1/labels", json=labels).raise_for_status()


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _run(service: Service) -> dict[str, Any]:
    return next(iter(service.model(MODEL)["runs"]), {"state": "none"})


@contextmanager
def bad_day(folder: Path) -> Iterator[tuple[Service, str]]:
    """The service and the name of its model, when the run waits and Evidently's report is written."""
    _first(folder)
    before, after = (_rows(folder / f"first/data/{name}.ndjson") for name in ("before", "after"))
    config = _CONFIG.format(folder=folder, data=folder / "first" / "data", model=MODEL)
    scorer = Scorer.load(str(folder / "tiny"), RunFolder(folder / "first" / "first").adapter, ("negative", "positive"))
    with running(folder, config, has_reports=True) as service:
        for n in range(40, len(before), 40):
            _post(service, before[n - 40 : n], scorer)
            wait_for(lambda n=n: _joined(service) >= n, seconds=60, message="the pane")
        _post(service, after[:120], scorer)
        wait_for(lambda: _run(service)["state"] == "collecting", seconds=120, message="a run that collects")
        _post(service, after[120:], scorer)
        ends = {"awaiting_approval", "failed", "rejected", "invalid", "inconclusive"}
        wait_for(lambda: _run(service)["state"] in ends, seconds=600, message="a run that waits")
        assert _run(service)["state"] == "awaiting_approval", _run(service)["because"]
        wait_for(lambda: service.model(MODEL)["incidents"][0]["report"], seconds=120, message="Evidently's report")
        yield service, MODEL


def _joined(service: Service) -> int:
    return int(service.model(MODEL)["counters"].get("joins", {}).get("joined", 0))
