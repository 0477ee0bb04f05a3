"""The wired service on a virtual clock, and traffic whose inputs move while its answers stay right, or do not."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from daemon.act.message import compose
from daemon.operations import ByPerson
from daemon.settings import Settings
from daemon.show.api import create_api
from daemon.store import champions, epochs, incidents
from daemon.store.epochs import Epoch
from daemon.store.incidents import StoredIncident
from daemon.wiring import build

MODEL, PANE_S, PER_PANE = "shop", 60.0, 150
CLASSES = "tabular-classification"
ADA = {"by": "ada", "because": "the new shop is open"}


def settings(
    folder: Path, *, has_quality: bool = False, reference: Mapping[str, Any] | None = None, task: str = CLASSES, n: int = 600
) -> Settings:
    """One model with a reference of `n` rows, spread over a day, whose answers are right in 19 of 20; `reference`: more about it."""
    rng, say = np.random.default_rng(1), SAY[task]
    rows = [say(rng, f"ref{i}", 86_400.0 / n * i, x=0.0, p_wrong=0.05) for i in range(n)]
    lines = [
        json.dumps({**record, **({"judgement": s} if (s := truth.get("score")) is not None else {"label": next(iter(truth.values()))})})
        for record, truth in rows
    ]
    (folder / "reference.jsonl").write_text("\n".join(lines))
    model = {
        "name": MODEL,
        "task": task,
        "labels": ["no", "yes"] if task == CLASSES else [],
        "columns": {"x": "numeric", "channel": "category"},
        "reference": {
            "kind": "file",
            "path": folder / "reference.jsonl",
            "bound": folder / "reference.jsonl",
            "learn_n": 300,
            **(reference or {}),
        },
        "monitors": {
            "pane_s": PANE_S,
            "watermark_s": 5.0,
            "quality": {"mean_days_between_false_alarms": 1} if has_quality else None,
            "drift": {"mean_days_between_false_alarms": 1, "together": False},
            "performance": {"metric": "accuracy" if task == CLASSES else None, "mean_days_between_false_alarms": 1},
        },
    }
    return Settings.model_validate({"data_dir": folder / "data", "future_s": 1e6, "models": [model]})


Said = tuple[dict[str, Any], dict[str, Any]]
"""(record, what its label says)."""


def row(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> Said:
    """A class."""
    said = str(rng.choice(["no", "yes"]))
    truth = {"no": "yes", "yes": "no"}[said] if rng.random() < p_wrong else said
    score = 0.9 if said == "yes" else 0.1
    output = {"label": said, "scores": {"yes": score, "no": 1.0 - score}}
    return _record(rng, name, at, x, output), {"label": truth}


def number(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> Said:
    """A number, off by 1 or so; the more the more answers would be wrong, and then too low."""
    record = _record(rng, name, at, x, {})
    value = 3.0 * record["inputs"]["x"]
    return {**record, "output": {"value": value}}, {"value": value + float(rng.normal(5.0 * max(0.0, p_wrong - 0.05)))}


def text(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> Said:
    """A text that a judge finds bad or good."""
    score = float(rng.beta(2.0, 6.0) if rng.random() < p_wrong else rng.beta(9.0, 2.0))
    return _record(rng, name, at, x, {"text": "As asked. " * int(rng.integers(1, 9))}), {"score": score}


def _record(rng: np.random.Generator, name: str, at: float, x: float, output: dict[str, Any]) -> dict[str, Any]:
    inputs = {"x": float(rng.normal(x)), "channel": str(rng.choice(["web", "app"]))}
    at_text = datetime.fromtimestamp(at, UTC).isoformat()
    return {"id": name, "model": MODEL, "version": "1", "at": at_text, "inputs": inputs, "output": output}


SAY = {CLASSES: row, "tabular-regression": number, "text-generation": text}


@dataclass
class World:
    """Posts go through the real door; a tick is the service's; persons act at the clock's time."""

    settings: Settings
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    now: float = field(default_factory=lambda: PANE_S * (time.time() // PANE_S + 1))
    n: int = 0
    version: str = "1"
    late: list[dict[str, Any]] = field(default_factory=list)
    """Labels that were held back."""

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new process."""
        self.wired = build(self.settings)
        self.wired.pipeline.outbox.handlers = {**self.wired.pipeline.outbox.handlers, "report": lambda *_: None}  # Evidently takes seconds
        self.by_person = ByPerson(self.wired.pipeline, now=lambda: self.now)
        self.api = create_api(self.by_person, self.settings, self.wired.ledger, now=lambda: self.now)
        self.http = TestClient(self.api, base_url="http://127.0.0.1:8420", follow_redirects=False)
        self.door = TestClient(self.wired.app, base_url="http://127.0.0.1:8420")

    def send(self, panes: int, *, x: float = 0.0, p_wrong: float = 0.03, labels: str = "now", **inputs: object) -> None:
        """Some panes of traffic, one tick after each; labels: now | late (held back) | none; `inputs`: of every record."""
        for _ in range(panes):
            ats = [self.now + i * PANE_S / PER_PANE for i in range(PER_PANE)]
            say = SAY[self.settings.models[0].task]
            made = [say(self.rng, f"r{self.n + i}", at, x=x, p_wrong=p_wrong) for i, at in enumerate(ats)]
            self.n += PER_PANE
            for record, _ in made:
                record["inputs"].update(inputs)
            self._post("records", [{**record, "version": self.version} for record, _ in made])
            told = [{"id": r["id"], "model": MODEL, "at": r["at"], **truth, "source": "agent"} for r, truth in made]
            if labels == "now":
                self._post("labels", told)
            elif labels == "late":
                self.late += told
            self.now += PANE_S
            self.wired.pipeline.tick(self.now + 6.0)

    def wait(self, panes: int) -> None:
        """So much time in which nothing comes."""
        for _ in range(panes):
            self.now += PANE_S
            self.wired.pipeline.tick(self.now + 6.0)

    def send_late(self) -> None:
        """The labels that were held back."""
        self._post("labels", self.late)
        self.late.clear()

    def until_benign(self, *, x: float = 2.0) -> StoredIncident:
        """Shifted traffic until its incident is benign and old enough to be absorbed."""
        for _ in range(40):
            self.send(1, x=x)
            found = self.incident()
            if found is not None and (found.diagnosis or {}).get("harm") == "benign" and self.now - found.opened_at > 2 * PANE_S:
                return found
        raise AssertionError(f"no benign incident: {self.incident()}")

    def heard(self) -> list[str]:
        """What people are told from now on, as it comes."""
        told: list[str] = []
        outbox = self.wired.pipeline.outbox
        outbox.handlers = {**outbox.handlers, "notify": lambda m, _: told.append(compose(m.model, m.payload, "http://x").body)}
        return told

    def incident(self) -> StoredIncident | None:
        """The open one."""
        with self.wired.ledger.read() as tx:
            return incidents.open_of(tx, MODEL)

    def epoch(self) -> Epoch:
        with self.wired.ledger.read() as tx:
            held = champions.champion(tx, MODEL)
            found = epochs.epoch(tx, MODEL, held.epoch) if held is not None else None
        assert found is not None
        return found

    def verdict(self, detector: str) -> dict[str, Any]:
        """The newest of a detector, as the API shows it."""
        return next(v for v in self.http.get(f"/v1/models/{MODEL}").json()["verdicts"] if v["detector"] == detector)

    def close(self) -> None:
        self.wired.close()

    def _post(self, what: str, rows: list[dict[str, Any]]) -> None:
        answer = self.door.post(f"/v1/{what}", json=rows)
        assert answer.json()["accepted"] == len(rows), answer.text
