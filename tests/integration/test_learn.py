"""A model without a reference learns one from its traffic, and from then on alarms against it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import insert

from daemon.learn import Learner, learn
from daemon.pipeline import Pipeline
from daemon.replay.run import replay
from daemon.settings import ModelSettings, Settings
from daemon.store import champions, epochs, rows, tables
from daemon.store.by_traffic import adopt_by_traffic
from daemon.store.ledger import Ledger, note
from retrain.types import Permanent, Reason

_DAY_S = 86_400.0
_START = 1_790_000_000.0


def _record(i: int, x: object) -> str:
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


def test_labels_are_held_to_the_users_bound_rows_once_a_reference_is_learnt(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    found = [(json.loads(_record(i, float(rng.normal()))), float(rng.normal(scale=1.0 if i < 900 else 5.0))) for i in range(1500)]
    (tmp_path / "records.jsonl").write_text("\n".join(json.dumps(record) for record, _ in found))
    labels = [{"id": r["id"], "model": "m", "at": r["at"], "value": 1.0 + error, "source": "human"} for r, error in found]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    bound = [{"inputs": {"x": 0.0}, "output": {"value": 1.0}, "label": 1.0 + float(rng.normal())} for _ in range(300)]
    (tmp_path / "bound.jsonl").write_text("\n".join(map(json.dumps, bound)))
    model = {
        "name": "m",
        "task": "tabular-regression",
        "columns": {"x": "numeric"},
        "reference": {"kind": "learn", "learn_days": 0.05, "learn_n": 400, "bound": tmp_path / "bound.jsonl"},
        "monitors": {"pane_s": 300, "drift": None, "quality": None},
    }
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "models": [model]})
    summary = replay(settings, tmp_path / "records.jsonl", tmp_path / "labels.jsonl", tmp_path / "out")
    alarmed = {a["detector"]: a["record_index"] for a in summary["alarms"]}
    assert {"value_ceiling", "risk_value_change", "risk_value"} <= {*alarmed}
    assert min(alarmed.values()) > 900


def test_damaged_data_open_an_incident_of_their_own_kind_and_an_unreadable_value_does_not_stop_the_learning(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    values: list[object] = [float(x) for x in rng.normal(size=1500)]
    values[100] = "n/a"
    values[900:] = [None if rng.random() < 0.2 else x for x in values[900:]]
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(_record(i, x) for i, x in enumerate(values)))
    model = {
        "name": "m",
        "task": "tabular-regression",
        "columns": {"x": "numeric"},
        "reference": {"kind": "learn", "learn_days": 0.05, "learn_n": 400},
        "monitors": {"pane_s": 300, "drift": None, "quality": {"mean_days_between_false_alarms": 1}},
    }
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "models": [model]})
    summary = replay(settings, records, None, tmp_path / "out")
    told = {(a["detector"], a["subject"]) for a in summary["alarms"]}
    assert told == {("missing_rise", "input.x"), ("duplicate_content_rise", "record.content")}  # records without x are all the same
    assert 900 < summary["alarms"][0]["record_index"] < 1100
    (incident,) = summary["incidents"]
    assert {s["kind"] for s in incident["subjects"].values()} == {"quality"}
    assert summary["triggers"] == []


def _learning(tmp_path: Path, *, panes_n: int) -> tuple[Ledger, ModelSettings]:
    """A model whose learn_days are over, with ten records a pane in the ledger (no file of them is there)."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    pane = {"model": "m", "version": "1", "seq": 0, "n_seen": 10, "n": 10, "n_pairs": 0, "sketches": b""}
    times = [{"start": _START + i, "end": _START + i + 1.0, "path": f"records/m/{i}.parquet"} for i in range(panes_n)]
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=_START, because="first")
        tx.execute(insert(tables.pane), [pane | at for at in times])
    reference = {"kind": "learn", "learn_days": 7, "learn_n": 1000}
    return ledger, ModelSettings.model_validate({"name": "m", "task": "tabular-regression", "reference": reference})


def test_a_quiet_model_that_goes_on_learning_reads_no_file_at_every_tick(tmp_path: Path) -> None:
    ledger, model = _learning(tmp_path, panes_n=99)
    learn(ledger, model, tmp_path, _START + 8 * _DAY_S)  # would be refused: no file is there
    with ledger.read() as tx:
        found = epochs.epoch(tx, "m", 1)
        assert found is not None
        assert found.reference_path is None


def test_the_ledger_is_free_while_weeks_of_records_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, model = _learning(tmp_path, panes_n=100)

    def read(_: Path, __: str) -> pa.Table:
        with ledger.begin() as tx:  # a second writer would wait ten seconds, and fail
            note(tx, _START, "m", "acknowledged")
        named = {"id": [f"r{i}" for i in range(10)], "at": [_START + 1.0] * 10, "version": ["1"] * 10}
        return pa.table(named | dict.fromkeys(("text", "inputs", "segments", "predicted", "score", "output"), pa.nulls(10)))

    monkeypatch.setattr(rows, "_read", read)
    learn(ledger, model, tmp_path, _START + 8 * _DAY_S)
    with ledger.read() as tx:
        found = epochs.epoch(tx, "m", 1)
        assert found is not None
        assert found.reference_path == "references/m/epoch-1"


def test_a_model_that_cannot_learn_keeps_no_other_one_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [{"name": name, "task": "tabular-regression"} for name in ("a", "b")]
    settings = Settings.model_validate({"data_dir": tmp_path, "models": models})
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    asked = []

    def gone(_ledger: Ledger, model: ModelSettings, *_: object) -> None:
        asked.append(model.name)
        if model.name == "a":
            raise Permanent(Reason.BAD_DATA, "records/a/1.parquet is gone")

    monkeypatch.setattr("daemon.learn.learn", gone)
    intake = Mock(versions=Mock(return_value={}), due=Mock(return_value=[]), set_back={})
    others = {name: Mock() for name in ("judge", "runs", "outbox", "aliases", "keeper", "health")}
    pipeline = Pipeline(settings=settings, ledger=ledger, intake=intake, learner=Learner(ledger, tmp_path), **others)
    pipeline._take_in(_START)
    assert asked == ["a", "b"]
    assert intake.release.called
    ledger.close()


def test_a_canary_beside_the_champion_takes_over_only_when_the_champion_is_gone(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    versions = ["1", *np.where(rng.random(400) < 0.2, "2", "1"), *["2"] * 60]
    records = tmp_path / "records.jsonl"
    lines = [json.loads(_record(3 * i, 1.0)) | {"version": str(version)} for i, version in enumerate(versions)]
    records.write_text("\n".join(map(json.dumps, lines)))
    model = {"name": "m", "task": "tabular-regression", "columns": {"x": "numeric"}, "monitors": {"pane_s": 60}}
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "models": [model]})
    moves = replay(settings, records, None, tmp_path / "out")["counters"]["m"]["champion_moves"]
    assert moves == {"adopted": 1}


def test_champion_is_who_answers_twenty_times_in_a_row_from_its_first_pane_on(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    held = []
    for i, (version, n) in enumerate([("1", 5), ("2", 1), ("1", 4), ("2", 12), ("2", 9)]):
        start = _START + 60.0 * i
        adopt_by_traffic(ledger, "m", {version: (start, n)}, follows=True)
        with ledger.begin() as tx:
            pane = {"model": "m", "version": version, "start": start, "end": start + 60.0, "seq": 0, "n_seen": n, "n": n, "n_pairs": 0}
            tx.execute(insert(tables.pane).values(**pane, sketches=b""))
            found = champions.champion(tx, "m")
            held.append(found and (found.version, found.since))
    assert held == [("1", _START)] * 4 + [("2", _START + 180.0)]
    ledger.close()
