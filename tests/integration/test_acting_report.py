"""An incident's report: written by a worker, linked once, given up with its reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from daemon.act.executors.local import LocalExecutor
from daemon.act.executors.port import JobSpec, JobState, JobStatus
from daemon.act.notify import Notify
from daemon.act.outbox import Unfinished
from daemon.act.report import Reporter
from daemon.store import counters, epochs, incidents, outbox
from daemon.store.ledger import events
from daemon.store.outbox import Message
from retrain.dataset.rows import table_of, write_rows
from retrain.types import Permanent, Reason
from tests.acting import MODEL, World

OPENED = 1_000_000.0


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)
    folder = world.settings.data_dir / "references" / "first"
    write_rows(folder / "records.parquet", rows(300, score=0.9))
    with world.ledger.begin() as tx:
        epochs.pin_reference(tx, MODEL, 1, path="references/first", digest="d", now=OPENED)
        incidents.open_incident(tx, incident_id="i-1", model=MODEL, epoch=1, now=OPENED, subjects={}, harmful=False)
    monkeypatch.setattr("daemon.act.report.rows.labelled", lambda *_, **__: rows(200, score=0.6))
    monkeypatch.setattr("daemon.act.report.rows.unlabelled", lambda *_, **__: rows(0, score=0.6))
    yield world
    world.ledger.close()


def rows(n: int, *, score: float) -> pa.Table:
    rng = np.random.default_rng(n)
    return table_of(
        {
            "id": f"r{i}",
            "at": OPENED - i,
            "version": "1",
            "text": "x" * (5 + i % 7),
            "inputs": f'{{"text": "{"x" * (5 + i % 7)}"}}',
            "segments": "{}",
            "predicted": ("negative", "positive")[i % 2],
            "score": float(np.clip(rng.normal(score, 0.05), 0, 1)),
        }
        for i in range(n)
    )


def message(world: World, kind: str, payload: dict[str, object]) -> Message:
    with world.ledger.begin() as tx:
        outbox.put(tx, key="k", model=MODEL, kind=kind, payload=payload, now=world.now)
        return outbox.due(tx, world.now + 1)[0]


def test_evidentlys_report_is_written_by_a_worker_and_linked_from_the_incident(world: World) -> None:
    reporter = Reporter(settings=world.settings, ledger=world.ledger, executor=LocalExecutor())
    asked = message(world, "report", {"incident": "i-1", "epoch": 1, "version": "1"})
    deadline = time.monotonic() + 120.0
    assert isinstance(reporter.deliver(asked, world.now), Unfinished)
    while reporter.deliver(asked, world.now) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.2)  # between two looks at the condition
    with world.ledger.begin() as tx:
        found = incidents.incident(tx, "i-1")
    assert found is not None
    assert found.report == f"reports/{MODEL}/i-1.html"
    html = (world.settings.data_dir / found.report).read_text()
    assert "output.score" in html
    assert "input.text (characters)" in html


@dataclass
class Slow:
    """Workers that all run until they are let go."""

    started: set[str] = field(default_factory=set)
    is_open: bool = False

    def submit(self, spec: JobSpec) -> str:
        self.started.add(spec.key)
        if self.is_open:
            target = Path(json.loads(Path(spec.command[-1]).read_text())["target"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("<p>")
        return spec.key

    def poll(self, _handle: str) -> JobStatus:
        return JobStatus(state=JobState.DONE, code=0) if self.is_open else JobStatus(state=JobState.RUNNING)

    def cancel(self, _handle: str) -> None:
        raise AssertionError("nobody cancels a report")

    def logs(self, _handle: str, *, most_bytes: int = 65_536) -> str:
        return ""[:most_bytes]


def test_incidents_of_many_models_at_once_start_two_workers_at_once_and_all_get_their_report(world: World) -> None:
    workers = Slow()
    reporter = Reporter(settings=world.settings, ledger=world.ledger, executor=workers)
    with world.ledger.begin() as tx:
        for i in range(2, 8):
            incidents.close(tx, f"i-{i - 1}", now=OPENED, because="quiet")
            incidents.open_incident(tx, incident_id=f"i-{i}", model=MODEL, epoch=1, now=OPENED, subjects={}, harmful=False)
        for i in range(1, 8):
            payload = {"incident": f"i-{i}", "epoch": 1, "version": "1"}
            outbox.put(tx, key=f"report-{i}", model=MODEL, kind="report", payload=payload, now=world.now)
    world.outbox.handlers = {"report": reporter.deliver}  # type: ignore[misc]
    for _ in range(3):
        world.outbox.deliver(world.now)
        world.now += 5.0
    assert len(workers.started) == 2
    workers.is_open = True
    for _ in range(5):
        world.outbox.deliver(world.now)
        world.now += 5.0
    with world.ledger.begin() as tx:
        assert [found.report for i in range(1, 8) if (found := incidents.incident(tx, f"i-{i}"))] == [
            f"reports/{MODEL}/i-{i}.html" for i in range(1, 8)
        ]


def test_a_worker_that_fails_is_tried_three_times_and_the_reason_is_kept(world: World) -> None:
    world.workers.codes = [1, 1, 1]
    reporter = Reporter(settings=world.settings, ledger=world.ledger, executor=world.workers)
    asked = message(world, "report", {"incident": "i-1", "epoch": 1, "version": "1"})
    with pytest.raises(Permanent) as failed:
        reporter.deliver(asked, world.now)
    assert failed.value.reason is Reason.CRASHED
    assert len(world.workers.ran) == 3


def test_a_person_is_told_by_an_event_and_a_counter(world: World) -> None:
    asked = message(world, "notify", {"what": "run.rejected", "because": "not shown to be better", "run": "r"})
    Notify(ledger=world.ledger).deliver(asked, world.now)
    with world.ledger.begin() as tx:
        assert events(tx, MODEL, "alert")[0]["data"]["because"] == "not shown to be better"
        assert counters.counters(tx, MODEL)["alerts", "run.rejected"] == 1
