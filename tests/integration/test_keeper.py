"""Retention over a real ledger and real files, also killed without warning. Run as a program it is the process that is killed."""

from __future__ import annotations

import os
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from daemon.act.keeper import Keeper
from daemon.settings import Settings
from daemon.store import champions, counters, epochs, incidents, outbox, removal, runs, tables
from daemon.store.blob import empty_pane, pane_to_bytes
from daemon.store.disk import Disk, DiskState
from daemon.store.hold import Hold
from daemon.store.ledger import Ledger, events
from daemon.store.panes import insert_pane
from daemon.store.record_log import log_path
from daemon.store.sizes import tree_bytes
from detectors.sketches.confusion import Confusion
from retrain.types import Permanent
from tests.killing import one_life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = 86_400.0
NOW = 1_800_000_000.0
FILE = b"x" * 1000


class Room(Disk):
    """A disk that is as low as the test says."""

    def __init__(self) -> None:
        self.is_low = False

    def state(self) -> DiskState:
        return DiskState(free_bytes=1, is_low=self.is_low)


@dataclass
class House:
    folder: Path
    keep: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    room: Room = field(default_factory=Room)
    url: str = ""

    def __post_init__(self) -> None:
        model = {"name": "m", "task": "text-classification", "labels": ["no", "yes"], "columns": {"text": "text"}, "keep": self.keep}
        self.settings = Settings.model_validate({"data_dir": self.folder, "models": [{**model, **self.model}]})
        self.ledger = Ledger(self.url or f"sqlite:///{self.folder}/ledger.db")
        if not self.url:
            sa.event.listen(self.ledger.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        self.ledger.migrate()
        self.restart()

    def restart(self) -> None:
        self.keeper = Keeper(self.settings, self.ledger, self.room, Hold(self.folder))

    def pane(self, age_days: float, *, labels: int = 2, version: str = "1") -> str:
        """A pane that ended so long ago."""
        with self.ledger.begin() as tx:
            return self.pane_in(tx, age_days, labels=labels, version=version)

    def pane_in(self, tx: sa.Connection, age_days: float, *, labels: int = 2, version: str = "1") -> str:
        start = NOW - age_days * DAY - 60.0
        path = log_path("m", version, start, 0)
        self.file(path)
        pane_id = insert_pane(
            tx, model="m", version=version, start=start, end=start + 60.0, n_seen=5, n=5, summary={}, confusion=Confusion(), path=path
        )
        tx.execute(sa.update(tables.pane).where(tables.pane.c.id == pane_id).values(sketches=pane_to_bytes({}, Confusion()) + b"full"))
        row = {"model": "m", "at": start, "received_at": start, "value": {"label": "no"}, "source": "human", "state": "joined"}
        rows = [{**row, "key": os.urandom(16), "record_id": str(i), "pane_id": pane_id, "row": i} for i in range(labels)]
        if rows:
            tx.execute(sa.insert(tables.label), rows)
        return path

    def file(self, path: str) -> str:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(FILE)
        return path

    def run(self, run_id: str, *, ended_days: float | None, version: str | None = None, created_days: float = 1.0) -> str:
        folder = f"runs/m/{run_id}"
        with self.ledger.begin() as tx:
            made = NOW - (ended_days or created_days) * DAY
            runs.create(tx, run_id=run_id, model="m", trigger={}, champion_version="1", folder=folder, now=made, because="")
            if ended_days is not None:
                runs.enter(tx, run_id, "kept", expected="planned", now=made, because="", ended=True, version=version)
        for name in ("plan.json", "checkpoints/step-1/w", "jobs/a/job.log", "candidate/adapter/w"):
            self.file(f"{folder}/{name}")
        return folder

    def settle(self, *, after_days: float = 0.0) -> None:
        """Ticks until nothing is left to do."""
        for i in range(100):
            self.keeper.step(NOW + after_days * DAY + i)
            if not self.keeper._rounds:
                return
        raise AssertionError("retention does not come to an end")

    def has(self, path: str) -> bool:
        return (self.folder / path).exists()

    def rows(self, table: sa.Table) -> int:
        with self.ledger.read() as tx:
            return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    def pruned(self) -> dict[str, int]:
        with self.ledger.read() as tx:
            return {reason: n for (name, reason), n in counters.counters(tx, "m").items() if name == "pruned"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    yield found
    found.ledger.close()


def adopt(house: House, version: str, *, age_days: float, reference: str | None = "") -> None:
    with house.ledger.begin() as tx:
        path = f"references/m/r{version}" if reference == "" else reference
        digest = "d" if path else None
        now = NOW - age_days * DAY
        champions.adopt(tx, "m", version, now=now, because="", reference_path=path, reference_digest=digest)
    if path:
        house.file(f"{path}/records.parquet")


def test_records_go_by_age_with_their_rows_and_labels_and_it_is_counted_and_told(house: House) -> None:
    adopt(house, "1", age_days=300)
    old = [house.pane(days) for days in (200, 150, 91)]
    young = [house.pane(days) for days in (89, 40, 1, 0)]
    house.settle()
    assert [house.has(path) for path in (*old, *young)] == [False] * 3 + [True] * 4
    assert (house.rows(tables.pane), house.rows(tables.label), house.rows(tables.doomed)) == (4, 8, 0)
    assert house.pruned() == {"age": 3000}
    assert not (house.folder / old[0]).parent.exists(), "a day without a pane keeps no folder"
    assert house.keeper.kept == {"m": sum(tree_bytes(house.folder / kind) for kind in ("records", "references"))}
    with house.ledger.read() as tx:
        (told,) = events(tx, "m", "retention.removed")
    assert {"kind": "records", "reason": "age", "n": 3} in told["data"]["what"]
    assert told["data"]["n_bytes"] == 3000


def test_above_the_limit_of_bytes_the_oldest_go_whatever_their_age_but_never_those_that_labels_may_come_for(tmp_path: Path) -> None:
    house = House(tmp_path, {"max_bytes": 2**20})
    adopt(house, "1", age_days=300)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(globals(), "FILE", b"x" * 300_000)
        old = [house.pane(days) for days in (80, 60, 40)]
        young = [house.pane(days) for days in (29, 20, 10, 0)]
    house.settle()
    assert [house.has(path) for path in (*old, *young)] == [False] * 3 + [True] * 4, "still above the limit, but all of it is needed"
    assert house.pruned() == {"bytes": 900_000}
    assert house.keeper.kept["m"] > 2**20


def test_a_clock_that_is_years_ahead_for_a_while_removes_nothing(house: House) -> None:
    adopt(house, "1", age_days=300.0)
    old, path = house.pane(200.0), house.pane(1.0)
    monotonic = [100.0]
    house.keeper = Keeper(house.settings, house.ledger, house.room, Hold(house.folder), unsettled_s=3600.0, clock=lambda: monotonic[0])

    def minutes(n: int, *, ahead_days: float) -> None:
        for _ in range(n):
            monotonic[0] += 60.0
            house.keeper.step(NOW + ahead_days * DAY + monotonic[0])

    minutes(30, ahead_days=20_000.0)  # it starts with a wrong clock
    minutes(50, ahead_days=0.0)
    minutes(50, ahead_days=20_000.0)  # somebody sets it, and back
    minutes(30, ahead_days=0.0)
    assert (house.has(path), house.has(old)) == (True, True)
    minutes(90, ahead_days=0.0)
    assert (house.has(path), house.has(old)) == (True, False)


def test_what_was_within_both_limits_stays(house: House) -> None:
    adopt(house, "1", age_days=300)
    paths = [house.pane(days) for days in (80, 0)]
    house.settle()
    assert all(map(house.has, paths))
    assert house.pruned() == {}


def test_sketches_go_before_their_records_and_a_second_look_finds_nothing(house: House) -> None:
    adopt(house, "1", age_days=300)
    for days in (80, 36, 34, 0):
        house.pane(days)
    house.settle()
    house.settle(after_days=0.5)
    with house.ledger.read() as tx:
        sizes = tx.execute(sa.select(sa.func.length(tables.pane.c.sketches)).order_by(tables.pane.c.start)).scalars().all()
        told = events(tx, "m", "retention.removed")
    assert [size > len(empty_pane()) for size in sizes] == [False, False, True, True]
    assert len(told) == 1


def test_a_run_an_open_incident_and_learning_keep_their_records(tmp_path: Path) -> None:
    def kept(folder: str, prepare: Any, **model: Any) -> list[bool]:
        (tmp_path / folder).mkdir()
        house = House(tmp_path / folder, model=model)
        adopt(house, "1", age_days=300)
        prepare(house)
        paths = [house.pane(days) for days in (250, 200, 150, 100, 0)]
        house.settle()
        house.ledger.close()
        return [house.has(path) for path in paths]

    def incident(house: House) -> None:
        with house.ledger.begin() as tx:
            incidents.open_incident(tx, incident_id="i", model="m", epoch=1, now=NOW - 200 * DAY, subjects={}, harmful=False)

    def learning(house: House) -> None:
        adopt(house, "2", age_days=160, reference=None)

    def running(house: House) -> None:
        house.run("r", ended_days=None, created_days=120)
        with house.ledger.begin() as tx:
            runs.keep(tx, "r", expected="planned", detail={"since": NOW - 160 * DAY})

    retrain = {"retrain": {"base_model": "b"}}
    assert kept("nothing", lambda _: None) == [False, False, False, False, True]
    assert kept("watched", incident) == [False, True, False, False, True], "its own window, for whoever looks at it"
    assert kept("retrained", incident, **retrain) == [False, True, True, True, True], "a run may start from it"
    assert kept("learning", learning) == [False, False, True, True, True]
    assert kept("running", running, **retrain) == [False, False, True, True, True]


def test_what_an_open_incident_holds_does_not_stand_in_the_way_of_what_is_younger(house: House) -> None:
    adopt(house, "1", age_days=300)
    with house.ledger.begin() as tx:
        incidents.open_incident(tx, incident_id="i", model="m", epoch=1, now=NOW - 200 * DAY, subjects={}, harmful=False)
        held = [house.pane_in(tx, 200 + i / 1440) for i in range(-50, 110)]
        old = [house.pane_in(tx, days) for days in (250, 150, 100)]
        house.pane_in(tx, 0)
    house.settle()
    assert all(map(house.has, held))
    assert not any(map(house.has, old))


def test_folders_of_the_champion_the_previous_and_the_active_run_stay_others_go(house: House) -> None:
    times = {"1": 900.0, "2": 700.0, "3": 500.0}
    for version, days in times.items():
        adopt(house, version, age_days=days)
        house.file(f"adapters/m-{version}/w")
        os.utime(house.folder / f"adapters/m-{version}", (NOW - days * DAY,) * 2)
    house.file("adapters/m-other-1/w")  # of a model named m-other
    os.utime(house.folder / "adapters/m-other-1", (0, 0))
    ended = {
        version: house.run(f"run{version}", ended_days=days, version=version) for version, days in (("1", 900), ("2", 700), ("3", 500))
    }
    failed_young, active = house.run("failed", ended_days=20), house.run("active", ended_days=None, created_days=400)
    house.file("references/m/active/records.parquet")
    os.utime(house.folder / "references/m/active", (0, 0))
    house.settle()
    assert [house.has(ended[version]) for version in "123"] == [True, True, True], "the active run compares with version 1"
    assert [house.has(f"{folder}/checkpoints") for folder in (*ended.values(), failed_young, active)] == [False] * 4 + [True]
    with house.ledger.begin() as tx:
        runs.enter(tx, "active", "failed", expected="planned", now=NOW, because="", ended=True)
    house.settle(after_days=2)
    assert [house.has(ended[version]) for version in "123"] == [False, True, True]
    assert [house.has(f"adapters/m-{version}") for version in ("1", "2", "3", "other-1")] == [False, True, True, True]
    assert [house.has(f"references/m/{name}") for name in ("r1", "r2", "r3", "active")] == [False, True, True, False]
    assert house.has(failed_young)
    with house.ledger.read() as tx:
        assert epochs.last_epoch(tx, "m", "1").reference_path is None  # type: ignore[union-attr] (it was champion)
        assert len(runs.runs(tx, "m")) == 5, "what the ledger says of a run stays"


def test_a_rollback_to_a_version_whose_reference_went_learns_a_new_one(house: House) -> None:
    for version, days in (("1", 900), ("2", 700), ("3", 500)):
        adopt(house, version, age_days=days)
    house.settle()
    adopt(house, "1", age_days=0, reference=None)
    with house.ledger.read() as tx:
        epoch = epochs.epoch(tx, "m", 4)
    assert epoch is not None
    assert (epoch.version, epoch.reference_path, epoch.reference_digest) == ("1", None, None)


def test_files_that_the_settings_name_stay_even_in_the_data_folder(tmp_path: Path) -> None:
    replay = tmp_path / "runs" / "m" / "first" / "rows.parquet"
    house = House(tmp_path, model={"retrain": {"base_model": str(tmp_path / "runs/m/second/base"), "replay": str(replay)}})
    for version in ("1", "2", "3"):
        adopt(house, version, age_days=1000 - int(version))
    folders = [house.run(name, ended_days=900, version="1") for name in ("first", "second", "third")]
    house.settle()
    assert [house.has(folder) for folder in folders] == [True, True, False]
    house.ledger.close()


def test_reports_and_their_jobs_go_and_the_incident_stays(house: House) -> None:
    adopt(house, "1", age_days=900)
    for name, opened, closed in (("old", 400, 300), ("young", 40, 30), ("open", 500, None)):
        with house.ledger.begin() as tx:
            incidents.open_incident(tx, incident_id=name, model="m", epoch=1, now=NOW - opened * DAY, subjects={}, harmful=False)
            incidents.attach_report(tx, name, house.file(f"reports/m/{name}.html"))
            if closed is not None:
                incidents.close(tx, name, now=NOW - closed * DAY, because="quiet")
        for job in (f"{name}.report-0.json", f"{name}.report-0.parquet", f"{name}.report-0/job.log"):
            house.file(f"reports/m/jobs/{job}")
        for entry in (house.folder / "reports/m/jobs").iterdir():
            os.utime(entry, (NOW - 10 * DAY,) * 2)
    with house.ledger.begin() as tx:
        outbox.put(tx, key="report:young", model="m", kind="report", payload={"incident": "young"}, now=NOW)
    house.settle()
    assert [house.has(f"reports/m/{name}.html") for name in ("old", "young", "open")] == [False, True, True]
    left = sorted({entry.name.partition(".")[0] for entry in (house.folder / "reports/m/jobs").iterdir()})
    assert left == ["open", "young"], "young's report is still to be written"
    with house.ledger.read() as tx:
        assert incidents.incident(tx, "old").report is None  # type: ignore[union-attr] (it was opened)


def test_a_pane_with_more_labels_than_fit_into_a_transaction_goes_in_several(house: House) -> None:
    adopt(house, "1", age_days=300)
    path = house.pane(100, labels=removal.MOST_LABELS * 2 + 1)
    house.pane(0)
    steps = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("daemon.act.keeper._BUDGET_S", 0.0)
        while house.has(path):
            house.keeper.step(NOW)
            steps[house.rows(tables.label), house.has(path)] = len(steps)
    assert list(steps) == [(n * removal.MOST_LABELS + 3, True) for n in (2, 1, 0)] + [(2, False)]


def test_labels_that_never_found_a_record_go_by_age(house: House) -> None:
    adopt(house, "1", age_days=300)
    row = {"model": "m", "at": 0.0, "value": {}, "source": "human", "record_id": "r"}
    states = [("expired", 100), ("unsampled", 100), ("waiting", 100), ("expired", 80)]
    with house.ledger.begin() as tx:
        rows = [{**row, "key": bytes([i] * 16), "state": state, "received_at": NOW - days * DAY} for i, (state, days) in enumerate(states)]
        tx.execute(sa.insert(tables.label), rows)
    house.settle()
    with house.ledger.read() as tx:
        assert sorted(tx.execute(sa.select(tables.label.c.state)).scalars()) == ["expired", "waiting"]


def test_nothing_goes_while_a_backup_reads_and_it_goes_after(house: House) -> None:
    adopt(house, "1", age_days=300)
    path = house.pane(100)
    house.pane(0)
    with Hold(house.folder).held():
        for i in range(3):
            house.keeper.step(NOW + i)
        assert house.has(path)
    house.settle()
    assert not house.has(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_backup_by_root_does_not_shut_out_the_service(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with Hold(tmp_path).held():
        held = (tmp_path / ".hold").stat()
    assert (held.st_uid, held.st_gid, held.st_mode & 0o777) == (12345, 12345, 0o600)


def test_a_low_disk_does_not_wait_for_the_daily_look(house: House) -> None:
    adopt(house, "1", age_days=300)
    house.settle()
    path = house.pane(100)
    house.pane(0)
    house.keeper.step(NOW + 1)
    assert house.has(path)
    house.room.is_low = True
    house.keeper.step(NOW + 2)
    assert not house.has(path)


def test_a_file_that_cannot_be_removed_is_tried_again_and_counted_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(house, "1", age_days=300)
    path = house.pane(100)
    house.pane(0)
    run = house.run("r", ended_days=200)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
        patched.setattr("shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
        house.settle()
        house.settle(after_days=2)
    assert (house.has(path), house.has(run), house.rows(tables.doomed), house.pruned()) == (True, True, 4, {"age": 5000})
    house.settle(after_days=4)
    assert (house.has(path), house.has(run), house.rows(tables.doomed), house.pruned()) == (False, False, 0, {"age": 5000})


def test_a_round_ends_when_each_tick_has_time_for_one_step_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(house, "1", age_days=300)
    paths = [house.pane(days) for days in (100, 80, 0)]
    monkeypatch.setattr("daemon.act.keeper._BUDGET_S", 0.0)
    house.settle()
    assert [house.has(path) for path in paths] == [False, True, True]
    with house.ledger.read() as tx:
        assert len(events(tx, "m", "retention.removed")) == 1


def test_many_panes_go_in_steps_that_keep_a_tick_short(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt(house, "1", age_days=900)
    with house.ledger.begin() as tx:
        for i in range(400):
            house.pane_in(tx, 100 + i / 1440, labels=1)
    house.pane(0)
    remove = Keeper._remove

    def slowly(keeper: Keeper, *args: Any) -> bool:
        """A transaction of more than a step's time."""
        found = remove(keeper, *args)
        time.sleep(0.06)
        return found

    monkeypatch.setattr(Keeper, "_remove", slowly)
    while house.rows(tables.pane) == 401:  # a step may have time to look only
        house.keeper.step(NOW)
    assert house.rows(tables.pane) == 301, "one transaction's, not all"
    monkeypatch.undo()
    house.settle()
    assert house.rows(tables.pane) == 1


PANES = 300


def _main(folder: Path) -> None:
    """The process that is killed."""
    house = House(folder)
    print("ready", flush=True)
    house.settle()
    house.ledger.close()


def test_killed_at_random_moments_no_row_names_a_file_that_is_gone_and_no_file_stays_behind(tmp_path: Path) -> None:
    house = House(tmp_path)
    adopt(house, "1", age_days=900)
    with house.ledger.begin() as tx:
        for i in range(PANES):
            house.pane_in(tx, 100 + i / 1440, labels=1)
        young = {house.pane_in(tx, i / 10) for i in range(20)}
    rng, kills, deadline = random.Random(7), 0, time.monotonic() + 100
    while True:
        assert time.monotonic() < deadline, "it never got to the end"
        is_killed, is_done = one_life(__file__, tmp_path, kill_after_s=rng.uniform(0.005, 0.1) if kills < 3 else None)
        kills += is_killed
        with house.ledger.read() as tx:
            named = set(tx.execute(sa.select(tables.pane.c.path)).scalars())
            gone = set(removal.doomed(tx, limit=PANES))
        there = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("records/**/*.parquet")}
        assert named <= there, "a row names a file that is gone"
        assert there - named <= gone, "a file is left that nobody would remove"
        if is_done:
            break
    assert kills == 3
    assert named == there == young
    assert house.pruned() == {"age": PANES * 1000}
    assert (house.rows(tables.doomed), house.rows(tables.label)) == (0, 40)
    house.ledger.close()


def test_on_either_database_rows_go_with_their_files(new_database: Callable[[], str], tmp_path: Path) -> None:
    house = House(tmp_path, url=new_database())
    for version, days in (("1", 900), ("2", 700), ("3", 500)):
        adopt(house, version, age_days=days)
    with house.ledger.begin() as tx:
        incidents.open_incident(tx, incident_id="i", model="m", epoch=1, now=NOW - 300 * DAY, subjects={}, harmful=False)
        incidents.attach_report(tx, "i", house.file("reports/m/i.html"))
        incidents.close(tx, "i", now=NOW - 300 * DAY, because="quiet")
    old, middle, young = (house.pane(days) for days in (91, 40, 0))
    run = house.run("r", ended_days=200)
    house.settle()
    assert [house.has(path) for path in (old, middle, young, run, "reports/m/i.html", "references/m/r1")] == [False, True, True] + [
        False
    ] * 3
    assert [house.rows(table) for table in (tables.pane, tables.label, tables.doomed)] == [2, 4, 0]
    with house.ledger.read() as tx:
        sizes = tx.execute(sa.select(sa.func.length(tables.pane.c.sketches)).order_by(tables.pane.c.start)).scalars().all()
        assert incidents.incident(tx, "i").report is None  # type: ignore[union-attr] (it was opened)
        assert epochs.last_epoch(tx, "m", "1").reference_path is None  # type: ignore[union-attr] (it was champion)
    assert [size > len(empty_pane()) for size in sizes] == [False, True]
    house.ledger.close()


def test_a_label_whose_record_went_before_its_key_is_expired_not_an_error(new_database: Callable[[], str], tmp_path: Path) -> None:
    from tests.integration.test_store_intake import PANE_S, Service, T, label, record

    service = Service(tmp_path, new_database())
    service.spool.records(record("a", T), received_at=T)
    service.spool.records(record("b", T + PANE_S), received_at=T + PANE_S)
    service.tick(T + 3 * PANE_S)
    with service.ledger.begin() as tx:
        tx.execute(sa.delete(tables.pane).where(tables.pane.c.start == T))
    service.spool.labels(label("a", T + 31), label("b", T + 31), received_at=T + 31)
    service.tick(T + 6 * PANE_S)
    with service.ledger.read() as tx:
        assert {row.record_id: row.state for row in tx.execute(sa.select(tables.label))} == {"a": "expired", "b": "joined"}
    service.ledger.close()


if __name__ == "__main__":
    try:
        _main(Path(sys.argv[1]))
    except Permanent as e:
        sys.exit(str(e))
