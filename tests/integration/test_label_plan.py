"""GET /v1/models/NAME/label-plan over a real ledger and record log, and the command's file."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from daemon.capture.wire import parse_labels
from daemon.client import Client
from daemon.decide.monitors.all import monitors as all_monitors
from daemon.settings import ModelSettings, Settings
from daemon.show.api import create_api
from daemon.show.snapshot import snapshot
from daemon.show.views import Health
from daemon.status import show_label_plan
from daemon.store import champions, panes, tables, verdicts
from daemon.store.answers import Output
from daemon.store.closed import Join
from daemon.store.joining import StoredLabel, value_of
from daemon.store.keys import key_of
from daemon.store.ledger import Ledger
from daemon.store.log_table import LOG_SCHEMA
from daemon.store.pairing import Pairing
from daemon.store.pending import HeldLabel
from daemon.store.ports import Mark
from daemon.store.record_log import log_path, write_log
from detectors.sketches.confusion import Confusion
from detectors.types import Outcome, Score, Verdict
from tests.integration.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.integration.conftest import Service

NOW, MODEL, N = 1_800_000_000.0, "m", 400


class Seen:
    """The part of the operations that reading needs."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger, self._settings = ledger, settings

    def snapshot(self) -> Any:
        with self._ledger.begin() as tx:
            return snapshot(tx, self._settings, NOW, Health(started_at=NOW - 9.0))

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: pytest.fail(f"{name} was asked for")


@pytest.fixture
def served(new_database: Callable[[], str], tmp_path: Path) -> Iterator[TestClient]:
    """400 records of the champion in the window, the first ten labelled, as many of another version; every fourth answer is unsure."""
    ledger = Ledger(new_database())
    ledger.migrate()
    settings = Settings.model_validate(
        {
            "data_dir": str(tmp_path),
            "models": [
                {
                    "name": MODEL,
                    "task": "tabular-classification",
                    "labels": ["no", "yes"],
                    "monitors": {"performance": {"least_label_probability": 0.01}},
                },
                {"name": "even", "task": "tabular-classification", "labels": ["no", "yes"]},
            ],
        }
    )
    with ledger.begin() as tx:
        champions.adopt(tx, MODEL, "1", now=NOW - 5000.0, because="first seen", reference_path="ref", reference_digest="abc")
        for version in ("1", "2"):
            path = log_path(MODEL, version, NOW - 120.0, 0)
            write_log(tmp_path / path, pa.Table.from_pylist([_record(version, i) for i in range(N)], schema=LOG_SCHEMA))
            at = {"model": MODEL, "version": version, "start": NOW - 120.0, "end": NOW - 60.0}
            pane = panes.insert_pane(tx, **at, n_seen=N, n=N, summary={}, confusion=Confusion(), path=path)
            if version == "1":
                tx.execute(insert(tables.label), [_label(pane, row) for row in range(10)])
        verdict = Verdict(
            detector="accuracy",
            subject="accuracy",
            outcome=Outcome.OK,
            evidence=Score(distance=0.1, limit=1.0),
            value=0.9,
            low=0.85,
            high=0.95,
            n=10,
            because="accuracy is 0.9",
        )
        verdicts.save(tx, MODEL, [verdict], at=NOW - 30.0, epoch=1)
    seen: Any = Seen(ledger, settings)
    yield TestClient(create_api(seen, settings, ledger, now=lambda: NOW), base_url="http://127.0.0.1:8420")
    ledger.close()


def _record(version: str, i: int) -> dict[str, Any]:
    score = 0.55 if i % 4 == 0 else 0.99
    row = {"id": f"{version}-{i}", "at": NOW - 119.0 + i / 10.0, "version": version, "predicted": "yes", "score": score, "pi": 1.0}
    return {**row, "inputs": "{}", "output": "{}", "segments": "{}", "text": None}


def _label(pane: int, row: int) -> dict[str, Any]:
    said = {"at": NOW - 50.0, "received_at": NOW - 50.0, "value": {"label": "yes"}, "source": "human", "state": "joined"}
    return {"model": MODEL, "key": key_of(f"1-{row}"), "record_id": f"1-{row}", "pane_id": pane, "row": row, **said}


def test_a_plan_names_unlabelled_records_of_the_champion_and_what_their_labels_would_buy(served: TestClient) -> None:
    plan = served.get(f"/v1/models/{MODEL}/label-plan?n=40").json()
    ids = [int(r["id"].split("-")[1]) for r in plan["records"]]
    assert (plan["version"], plan["of"], len(ids), len(set(ids))) == ("1", N - 10, 40, 40)
    assert min(ids) >= 10
    assert all(r["id"].startswith("1-") and 0.0 < r["probability"] <= 1.0 for r in plan["records"])
    chance = {i % 4 == 0: r["probability"] for i, r in zip(ids, plan["records"], strict=True)}
    assert chance[True] > 2.0 * chance[False]
    assert (plan["figure"], plan["reach_now"]) == ("accuracy", pytest.approx(0.05))
    assert 0.0 < plan["reach_then"] < 0.05
    assert "40 labels of these 390 records" in plan["because"]
    assert served.get(f"/v1/models/{MODEL}/label-plan?n=40").json() == plan


PLANNED = """
tick_s: 0.2
models:
  - name: m
    task: {task}
    columns: {{prompt: text}}
    reference: {{kind: file, path: {reference}}}
    monitors: {{pane_s: 0.5, watermark_s: 0.2, window_s: 600, drift: null, quality: null, performance: {{}}}}
"""


@pytest.mark.parametrize(
    ("task", "figure", "answer", "truth"), [("tabular-regression", "mae", "value", "value"), ("text-generation", "score", "text", "score")]
)
def test_a_plan_of_numbers_and_of_judged_texts_speaks_of_their_own_figure(
    serve: Callable[..., AbstractContextManager[Service]], tmp_path: Path, *, task: str, figure: str, answer: str, truth: str
) -> None:
    rng, at = np.random.default_rng(4), datetime.now(UTC).isoformat()
    answers: list[Any] = [float(x) if answer == "value" else f"answer {x}" for x in rng.normal(size=300)]
    said = [
        {"id": f"r{i}", "model": "m", "version": "1", "at": at, "inputs": {"prompt": "a"}, "output": {answer: x}}
        for i, x in enumerate(answers)
    ]
    (tmp_path / "reference.jsonl").write_text("\n".join(map(json.dumps, said)))
    with serve(PLANNED.format(task=task, reference=tmp_path / "reference.jsonl")) as service:
        service.http.post("/v1/records", json=said).raise_for_status()
        ask = "/v1/models/m/label-plan?n=150"
        before = wait_for(lambda: (plan := service.http.get(ask).json())["of"] == 300 and plan, message="records that wait for a label")
        assert (before["figure"], before["reach_now"], before["reach_then"]) == (figure, None, None)
        assert before["because"].startswith(
            f"{figure} is not known from labels, nor how near 150 labels of these 300 records would bring it"
        )
        labels = [{"id": f"r{i}", "model": "m", "at": at, truth: float(rng.random()), "source": "human"} for i in range(50)]
        service.http.post("/v1/labels", json=labels).raise_for_status()
        (verdict,) = wait_for(
            lambda: [v for v in service.model("m")["verdicts"] if v["detector"] == figure and v["n"] == 50],
            message=f"{figure} by 50 labels",
        )
        show_label_plan(Client(str(service.http.base_url)).label_plan("m", 150), tmp_path / "plan.csv")
        plan = service.http.get(ask).json()
        reach = 0.5 * (verdict["high"] - verdict["low"])
        assert (plan["of"], len(plan["records"])) == (250, 150)
        assert (plan["reach_now"], plan["reach_then"]) == pytest.approx((reach, reach / 2.0))  # four times the labels
        assert plan["because"] == (
            f"{figure} is known to ±{reach:.3g} by 50 labels; 150 labels of these 250 records would make that about ±{reach / 2.0:.3g}"
        )


def test_without_the_setting_a_plan_is_even(served: TestClient) -> None:
    plan = served.get("/v1/models/even/label-plan").json()
    assert plan["is_even"]
    assert plan["because"] == "no record of the window waits for a label"
    assert not served.get(f"/v1/models/{MODEL}/label-plan").json()["is_even"]


@pytest.mark.parametrize(("least", "weights"), [(0.05, [10.0, 20.0, 1.0]), (None, None)])
def test_planned_labels_weigh_by_the_chance_that_they_come_back_with(least: float | None, weights: list[float] | None) -> None:
    said = {"model": MODEL, "at": "2027-01-15T08:00:00Z", "label": "yes"}
    chances = [0.1, 0.001, None]
    body = b"\n".join(json.dumps({**said, "id": str(i), "probability": p}).encode() for i, p in enumerate(chances))
    labels = parse_labels(body)
    rows = [SimpleNamespace(record_id=x.id, source=x.source, at=x.at, value=value_of(x)) for x in labels]
    joins = [
        Join(
            held=HeldLabel(StoredLabel(MODEL, row), b"", NOW, NOW, Mark(0, 0)),
            state="joined",
            is_new=True,
            version="1",
            at=NOW,
            output=Output(label="no"),
            groups={},
            pi=1.0,
        )
        for row in rows
    ]
    monitors = {"performance": {"least_label_probability": least}}
    model = ModelSettings.model_validate({"name": MODEL, "task": "text-classification", "labels": ["no", "yes"], "monitors": monitors})
    pairs = Pairing(model).pairs(joins)
    assert (pairs.weight.tolist() if pairs.weight is not None else None) == weights
    floors = [d for d in all_monitors(model, has_bound=True) if d.name == "f1_floor"]
    assert {getattr(d, "most_weight", None) for d in floors} == {20.0 if least else 1.0}


def test_a_plan_is_bounded_and_of_a_known_model(served: TestClient) -> None:
    assert served.get(f"/v1/models/{MODEL}/label-plan?n=1001").status_code == 422
    assert served.get(f"/v1/models/{MODEL}/label-plan?n=0").status_code == 422
    assert served.get("/v1/models/nobody/label-plan").status_code == 404
    everything = served.get(f"/v1/models/{MODEL}/label-plan?n=1000").json()
    assert [r["probability"] for r in everything["records"]] == [1.0] * (N - 10)


def test_the_file_has_id_time_and_probability(served: TestClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = served.get(f"/v1/models/{MODEL}/label-plan?n=20").json()
    show_label_plan(plan, tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "at", "probability"]
    assert [row[:2] for row in rows[1:]] == [[r["id"], r["at"]] for r in plan["records"]]
    assert np.allclose([float(row[2]) for row in rows[1:]], [r["probability"] for r in plan["records"]], rtol=1e-5)
    assert plan["because"] in capsys.readouterr().out
