"""A backup of a real service at work, restored into an empty folder, goes on where it was; killed, it leaves nothing under its name."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from daemon.backup.make import backup
from daemon.backup.restore import restore
from daemon.capture.spool import EntryKind, Spool
from daemon.check.read import load_settings
from daemon.store import champions, counters, tables
from daemon.store.copy import copy_rows
from daemon.store.hold import Hold
from daemon.store.ledger import Ledger, note
from daemon.wiring import _release, salts_of
from retrain.types import Permanent
from retrain.versions.mlflow import MlflowVersions
from tests.docs_blocks import Block
from tests.integration.conftest import Service, running, wait_for

RETUNED = Path(sys.executable).with_name("retuned")
CONFIG = """
tick_s: 0.2
models:
  - name: m
    task: text-classification
    labels: ["no", "yes"]
    columns: {{text: text, x: numeric}}
    reference: {{kind: file, path: {reference}}}
    monitors: {{pane_s: 0.5, watermark_s: 0.2, window_s: 60, drift: {{columns: [x], mean_days_between_false_alarms: 1}}, performance: null}}
    retrain: {{base_model: {base}, on: [manual], data: {{train_n: 40, validation_n: 8, gate_n: 20, bound_n: 20, replay_n: 0}}}}
"""


def record(name: str, x: float) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    output = {"label": "yes", "scores": {"yes": 0.8, "no": 0.2}}
    return {"id": name, "model": "m", "version": "1", "at": at, "inputs": {"text": f"text {name}", "x": x}, "output": output}


def files(folder: Path) -> str:
    """What the settings name, outside the data folder; version 1 in the embedded registry."""
    rng = np.random.default_rng(1)
    rows = [{**record(f"ref-{i}", float(rng.normal())), "label": "yes"} for i in range(800)]
    (folder / "reference.jsonl").write_text("\n".join(map(json.dumps, rows)))
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"weights")
    adapter = folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (folder / "data").mkdir()
    versions = MlflowVersions(data_dir=folder / "data")
    assert versions.stage("m", adapter, key="first", tags={}).version == "1"
    versions.put_alias("m", "champion", "1")
    return CONFIG.format(reference=folder / "reference.jsonl", base=base)


@dataclass
class Traffic:
    """Posts until told to stop; a journal of what was acknowledged, in order."""

    http: httpx.Client
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    ends: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._post)
        self.thread.start()

    def _post(self) -> None:
        rng = np.random.default_rng(2)
        while not self.ends.is_set():
            rows = [record(f"r{len(self.acknowledged) + i}", float(rng.normal(3.0))) for i in range(20)]
            self.http.post("/v1/records", json=rows).raise_for_status()
            self.acknowledged += rows
            self.ends.wait(0.02)

    def stop(self) -> None:
        self.ends.set()
        self.thread.join(30)


def retuned(*args: object) -> str:
    done = subprocess.run([RETUNED, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(data: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{data}/ledger.db?mode=ro", uri=True, timeout=30)) as db:
        return db.execute(query).fetchall()


def stored(data: Path) -> Counter[str]:
    paths = [path for (path,) in rows(data, "select path from pane where path is not null")]
    return Counter(name for path in paths for name in pq.read_table(data / path, partitioning=None)["id"].to_pylist())


STATES = "select epoch_key, detector, subject, n_steps from detector_state where n_steps > 0"


@dataclass
class Moment:
    """What was known of the old service."""

    posted: list[dict[str, Any]]
    """Everything that was acknowledged, before, during and after the backup."""
    n_before: int
    """Of it before the backup began."""
    model: dict[str, Any]
    said: str


def backed_up(old: Path, config: str, archive: Path) -> Moment:
    """A service under traffic, with an open incident and a run that collects, is backed up, works on and is killed."""
    with running(old, config) as service:
        wait_for(lambda: (service.model("m")["champion"] or {}).get("version"), message="a champion")
        traffic = Traffic(service.http)
        try:
            wait_for(lambda: service.model("m")["incidents"], seconds=60, message="an incident")
            service.http.post("/v1/models/m/retrain", json={"by": "Ada"}).raise_for_status()
            wait_for(lambda: service.model("m")["runs"][0]["state"] == "collecting", seconds=60, message="a run")
            n_before = len(traffic.acknowledged)
            said = retuned("backup", archive, "--config", old / "retuned.yaml")
            n_during = len(traffic.acknowledged)
            wait_for(lambda: len(traffic.acknowledged) > n_during + 100, message="traffic after the backup")
        finally:
            traffic.stop()
        model = service.model("m")
        service.process.kill()
        service.process.wait(timeout=10)
    return Moment(posted=traffic.acknowledged, n_before=n_before, model=model, said=said)


def goes_on(service: Service, data: Path, moment: Moment) -> list[dict[str, Any]]:
    """Everything is as it was, and what comes next is taken once; gives the records that were new."""

    def n_stored() -> int:
        return int(service.model("m")["counters"]["records"]["stored"])

    wait_for(lambda: n_stored() >= moment.n_before, message="what was acknowledged before the backup")
    was, now = moment.model, service.model("m")
    assert (now["champion"], now["epoch"]) == (was["champion"], was["epoch"])
    assert [(i["id"], i["closed_at"]) for i in now["incidents"]] == [(i["id"], None) for i in was["incidents"]]
    assert [(r["id"], r["state"]) for r in now["runs"]] == [(r["id"], "collecting") for r in was["runs"]]
    assert {row["id"] for row in moment.posted[: moment.n_before]} <= set(stored(data))
    for i in range(0, len(moment.posted), 1000):  # the client cannot know what the backup holds: it posts all of it again
        service.http.post("/v1/records", json=moment.posted[i : i + 1000]).raise_for_status()
    wait_for(lambda: n_stored() == len(moment.posted), message="all of it, once")
    fresh = [record(f"late{i}", 3.0) for i in range(200)]
    service.http.post("/v1/records", json=fresh).raise_for_status()
    human = [("no", "yes")[i % 2] for i in range(200)]
    labels = [{"id": r["id"], "model": "m", "at": r["at"], "label": y, "source": "human"} for r, y in zip(fresh, human, strict=True)]
    service.http.post("/v1/labels", json=labels).raise_for_status()
    wait_for(lambda: service.model("m")["runs"][0]["state"] not in {"planned", "collecting"}, seconds=60, message="the run goes on")
    wait_for(lambda: list((data / "runs" / "m").glob("*/dataset/manifest.json")), seconds=60, message="the data set, in the new folder")
    return fresh


def test_a_service_at_work_goes_on_from_its_backup_in_an_empty_folder(tmp_path: Path) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "backup.tar.zst"
    old.mkdir()
    new.mkdir()
    config = files(old)
    moment = backed_up(old, config, archive)
    assert "It holds secrets" in moment.said
    assert f"not in it: m: {old / 'reference.jsonl'} (reference.path)" in moment.said
    assert archive.stat().st_mode & 0o777 == 0o600

    data = new / "data"
    assert f"{data}: " in retuned("restore", archive, "--into", data)
    (old / "data").rename(old / "gone")  # nothing may still look there
    assert salts_of(data) == salts_of(old / "gone")
    states = {tuple(row[:3]): row[3] for row in rows(data, STATES)}
    assert states
    with running(new, config) as service:
        fresh = goes_on(service, data, moment)
        assert service.stop() == 0
    assert stored(data) == Counter([row["id"] for row in [*moment.posted, *fresh]])
    later = {tuple(row[:3]): row[3] for row in rows(data, STATES)}
    assert later.keys() == states.keys(), "a detector started afresh"
    assert all(later[name] > n_steps for name, n_steps in states.items())
    assert rows(data, "select count(*) from event where kind = 'incident.opened'") == [(1,)]
    fetched = MlflowVersions(data_dir=data).fetch("m", "1", tmp_path / "fetched")
    assert (fetched / "adapter_config.json").read_text() == "{}", "the registry knows where its artifacts are now"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A data folder at rest, with some of everything; gives the settings file."""
    data = tmp_path / "data"
    data.mkdir()
    salts_of(data)
    ledger = Ledger(f"sqlite:///{data}/ledger.db")
    ledger.migrate()
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first")
    ledger.close()
    for name in ("runs/m/r/checkpoints/step-000001/.complete", "runs/m/r/checkpoints/.step-000002.tmp/w", "runs/m/r/jobs/a/job.json"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("x")
    for i in range(40):
        (data / f"runs/m/r/{i}.bin").write_bytes(random.Random(i).randbytes(500_000))
    config = tmp_path / "retuned.yaml"
    config.write_text("data_dir: data\nmodels:\n  - {name: m, task: text-classification}\n")
    return config


def made(config: Path, out: Path) -> Path:
    settings = load_settings(config)
    backup(settings, config, out, ledger_url=f"sqlite:///{settings.data_dir}/ledger.db")
    return out


def test_the_documented_commands_back_up_and_restore(house: Path, tmp_path: Path, doc_blocks: list[Block]) -> None:
    env = {"PATH": f"{RETUNED.parent}:/usr/bin:/bin"}
    shown = [block.run(cwd=tmp_path, env=env) for block in doc_blocks]
    assert [len(shown), shown[1].endswith(house.read_text())] == [3, True]
    assert list(tmp_path.glob("retuned-20*.tar.zst"))
    assert load_settings(tmp_path / "new.yaml").data_dir == tmp_path / "restored"
    assert (tmp_path / "restored" / "runs" / "m" / "r" / "7.bin").is_file()


def test_what_is_half_written_and_what_holds_the_environment_is_left_out(house: Path, tmp_path: Path) -> None:
    restore(made(house, tmp_path / "out"), tmp_path / "into")
    there = {str(path.relative_to(tmp_path / "into")) for path in (tmp_path / "into").rglob("*") if path.is_file()}
    assert {"settings.yaml", "secrets.json", "ledger.db", "runs/m/r/checkpoints/step-000001/.complete", "runs/m/r/7.bin"} <= there
    assert not any("step-000002" in name or "job.json" in name for name in there)
    assert (tmp_path / "into" / "settings.yaml").read_bytes() == house.read_bytes()
    assert not list(tmp_path.glob(".out.part*"))


def test_a_missing_file_of_the_log_makes_no_backup(house: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as db, db:
        columns = "model, version, start, end, seq, path, n_seen, n, n_pairs, sketches"
        db.execute(f"insert into pane ({columns}) values ('m', '1', 0, 1, 0, 'records/m/gone', 1, 1, 0, x'')")
    with pytest.raises(Permanent, match="gone is missing"):
        made(house, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "retuned.yaml"]


def test_a_backup_never_replaces_another_and_a_folder_that_is_not_empty_is_not_restored_into(house: Path, tmp_path: Path) -> None:
    out = made(house, tmp_path / "out")
    with pytest.raises(Permanent, match="is there already"):
        made(house, out)
    with pytest.raises(Permanent, match=r"is not empty \(data, out, retuned.yaml\)"):
        restore(out, tmp_path)
    assert (tmp_path / "data" / "ledger.db").is_file()
    for into in (out, out / "below"):
        with pytest.raises(Permanent, match="cannot be made, a file is in its place: --into names an empty folder"):
            restore(out, into)


def test_killed_at_random_moments_nothing_stands_under_the_name_or_all_of_it(house: Path, tmp_path: Path) -> None:
    rng, out, kills = random.Random(3), tmp_path / "out", 0
    part = tmp_path / ".out.part" / "archive"
    for _ in range(4):
        with subprocess.Popen([RETUNED, "backup", out, "--config", house], stdout=subprocess.DEVNULL) as process:
            wait_for(lambda process=process: part.exists() or process.poll() is not None, seconds=60, message="the archive's beginning")
            time.sleep(rng.uniform(0.0, 0.1))  # somewhere in its writing
            process.kill()
        kills += process.returncode < 0
        if out.exists():
            restore(out, tmp_path / f"into{kills}")  # whole
            out.unlink()
    assert kills >= 2
    assert not out.exists()
    made(house, out)
    assert not list(tmp_path.glob(".out.part*"))


def test_a_service_does_not_start_on_half_a_restore_and_the_next_restore_begins_anew(house: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    (into / ".restore" / "records").mkdir(parents=True)
    config = tmp_path / "new.yaml"
    config.write_text(house.read_text().replace("data_dir: data", f"data_dir: {into}"))
    done = subprocess.run([RETUNED, "serve", "--config", config], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "did not come to its end" in done.stderr) == (1, True)
    restore(made(house, tmp_path / "out"), into)
    assert (into / "ledger.db").is_file()
    assert not (into / ".restore").exists()


def test_a_bad_archive_leaves_the_folder_empty(house: Path, tmp_path: Path) -> None:
    whole = made(house, tmp_path / "out").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    done = subprocess.run([RETUNED, "restore", tmp_path / "cut", "--into", tmp_path / "into"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("retuned: this is no backup that can be used")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_run_forgets_its_local_job_or_what_is_no_job_and_keeps_one_of_the_cluster(house: Path, tmp_path: Path) -> None:
    jobs = {"local": {"key": "k", "handle": "/old/runs/1"}, "damaged": "k", "cluster": {"key": "k", "handle": "retuned-1"}}
    ledger = Ledger(f"sqlite:///{house.parent / 'data' / 'ledger.db'}")
    ledger.migrate()
    with ledger.begin() as tx:
        for name, job in jobs.items():
            at = {"entered_at": 1.0, "created_at": 1.0, "trigger": {}, "champion_version": "1", "folder": "f"}
            tx.execute(sa.insert(tables.run).values(id=name, model="m", state="training", detail={"job": job, "rows": 3}, **at))
    ledger.close()
    restore(made(house, tmp_path / "out"), tmp_path / "into")
    found = dict(rows(tmp_path / "into", "select id, detail from run"))
    assert {name: json.loads(detail) for name, detail in found.items()} == {
        "local": {"rows": 3},
        "damaged": {"rows": 3},
        "cluster": {"job": jobs["cluster"], "rows": 3},
    }


def test_the_spool_lets_nothing_go_while_a_backup_reads(tmp_path: Path) -> None:
    async def fill(spool: Spool) -> None:
        for i in range(5):
            await spool.append(EntryKind.RECORDS, b"x" * 2000, 1, float(i))

    with Spool(tmp_path / "spool", segment_bytes=1000) as spool:
        asyncio.run(fill(spool))
        n = len(list((tmp_path / "spool").iterdir()))
        with Hold(tmp_path).held():
            _release(spool, Hold(tmp_path), spool.durable)
            assert len(list((tmp_path / "spool").iterdir())) == n
        _release(spool, Hold(tmp_path), spool.durable)
        assert len(list((tmp_path / "spool").iterdir())) == 1 < n


def test_a_ledger_of_either_database_is_backed_up_and_put_back_into_either(
    house: Path, new_database: Callable[[], str], tmp_path: Path
) -> None:
    source = Ledger(new_database())
    source.migrate()
    with source.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first")
        counters.add(tx, "m", {("records", "stored"): 2**40})
        for i in range(2100):
            note(tx, float(i), "m", "decision", because=f"{i}")
        tx.execute(sa.insert(tables.key_run).values(model="m", level=0, n=1, since=1.0, until=2.0))
        tx.execute(sa.insert(tables.key_block).values(id=2**20, hashes=b"\x00\xff" * 8, places=b"\x00" * 12))
    settings = load_settings(house)
    url = source.engine.url.render_as_string(hide_password=False)
    backup(settings, house, tmp_path / "out", ledger_url=url)
    target = Ledger(new_database())
    restore(tmp_path / "out", tmp_path / "into", ledger_url=target.engine.url.render_as_string(hide_password=False))
    assert not list((tmp_path / "into").glob("ledger.db*"))
    for table in tables.metadata.sorted_tables:
        with source.read() as before, target.read() as after:
            query = sa.select(table).order_by(*table.primary_key)
            assert [tuple(row) for row in before.execute(query)] == [tuple(row) for row in after.execute(query)], table.name
    with target.begin() as tx:
        note(tx, 1.0, "m", "decision", because="goes on")  # with the next number
    with pytest.raises(Permanent, match="holds rows in"):
        copy_rows(source, target)
    source.close()
    target.close()
