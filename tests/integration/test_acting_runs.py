"""A run from the trigger to its end, over a real ledger and real files; and killed at every single touch of the outside."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import select

from daemon.act import operate
from daemon.act.executors.port import JobState, JobStatus
from daemon.act.steps.collect import Collecting
from daemon.judge import _past
from daemon.show.timeline import states_of
from daemon.store import champions, controls, counters, epochs, outbox, runs, tables
from daemon.store.ledger import events
from retrain.dataset.rows import read_rows, write_rows
from retrain.plan import read_plan
from retrain.types import Permanent, Reason, Transient
from tests.acting import MODEL, World, labelled_rows


@pytest.fixture
def world(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[World]:
    world = World(tmp_path, url=new_database())
    yield world
    world.ledger.close()


@pytest.fixture(autouse=True)
def _look_at_every_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.act.steps.collect._LOOK_RATIO", 0.0)


def promoted(world: World) -> None:
    world.trigger()
    world.labels()
    world.until("watching")


def test_a_better_candidate_is_trained_judged_registered_promoted_and_kept(world: World) -> None:
    promoted(world)
    assert (world.champion(), world.registry.now) == ("2", {"champion": "2", "previous": "1"})
    world.labels(400, prefix="after")
    run = world.until("kept")
    assert run.record is not None
    assert run.record["passed"]
    assert "proven not worse" in run.because
    assert world.workers.ran.keys() == {f"{run.id}.{name}" for name in ("dataset-0", "training-0", "evaluating-0", "watch-0000-0")}
    with world.ledger.begin() as tx:
        new = epochs.epochs(tx, MODEL)[0]
        entered = [e["data"]["state"] for e in events(tx, MODEL, "run.entered")][::-1]
    assert entered == ["planned", "collecting", "dataset", "training", "evaluating", "gated", "registered", "promoted", "watching", "kept"]
    assert new.reference_path is not None
    assert {p.name for p in (world.settings.data_dir / new.reference_path).iterdir()} == {"records.parquet", "bound.parquet"}


def test_killed_at_any_touch_of_the_outside_one_version_results_and_the_champion_moves_once(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    start = whole.fuse.touched
    promoted(whole)
    whole.labels(400, prefix="after")
    whole.until("kept")
    touches = whole.fuse.touched - start
    whole.ledger.close()
    assert touches > 100
    for place in range(1, touches + 40, 11 if touches > 200 else 5):
        world = World(tmp_path / f"killed-{place}")
        world.trigger()
        world.labels()
        world.fuse.touched, world.fuse.at = 0, place
        world.until("watching")
        world.labels(400, prefix="after")
        run = world.until("kept")
        world.fuse.at = None
        world.tick()
        assert list(world.registry.staged) == [run.id], place
        assert all(n == 1 for n in world.workers.ran.values()), place
        assert len(world.workers.ran) == 4, place
        assert run.detail["watch"]["n"] == 400, place
        assert world.registry.now == {"champion": "2", "previous": "1"}, place
        with world.ledger.begin() as tx:
            assert len(events(tx, MODEL, "champion.moved")) == 1, place
            assert outbox.pending(tx) == [], place
        world.ledger.close()


def test_a_candidate_that_is_no_better_is_rejected_and_nobody_can_approve_it(world: World) -> None:
    world.workers.quality = "same"
    world.trigger()
    world.labels()
    run = world.until("rejected")
    with world.ledger.begin() as tx, pytest.raises(Permanent) as refused:
        operate.approve(tx, MODEL, run=run.id, by="ada", because="please", now=world.now)
    assert refused.value.reason is Reason.REFUSED
    assert (world.champion(), world.registry.staged) == ("1", {})


def test_an_inconclusive_candidate_waits_for_a_person_whatever_the_autonomy_and_then_goes_on(world: World) -> None:
    world.workers.quality = "few"
    world.trigger()
    world.labels()
    run = world.until("awaiting_approval")
    for _ in range(3):
        world.tick()
    assert (world.newest().state, world.champion(), world.registry.staged) == ("awaiting_approval", "1", {})
    with world.ledger.begin() as tx:
        operate.approve(tx, MODEL, run=run.id, by="ada", because="I looked at it", now=world.now)
    world.until("watching")
    assert world.champion() == "2"
    assert world.newest().approved_by == "ada"


@pytest.mark.parametrize("state", ["planned", "collecting", "awaiting_approval"])
def test_a_person_cancels_a_run_that_is_not_at_work_and_its_incident_starts_no_other(world: World, state: str) -> None:
    world.workers.quality = "few"
    run = world.trigger()
    if state != "planned":
        world.until("collecting")
    if state == "awaiting_approval":
        world.labels()
        run = world.until(state)
    with world.ledger.begin() as tx:
        ended = operate.cancel(tx, MODEL, run=run.id, by="ada", because="not now", now=world.now)
    assert (ended.state, ended.because, ended.ended_at) == ("cancelled", "cancelled by ada: not now", world.now)
    for _ in range(3):
        world.tick()
    assert (world.newest().id, world.newest().state, world.champion()) == (run.id, "cancelled", "1")
    with world.ledger.read() as tx:
        assert [m.payload["because"] for m in tx.execute(select(tables.outbox)) if m.payload.get("what") == "run.cancelled"] == [
            ended.because
        ]
    assert _past(ended).is_unwanted


def test_a_run_at_work_or_approved_is_not_cancelled(world: World) -> None:
    world.trigger()
    world.labels()
    run = world.until("training")
    for asked, why in (({"run": run.id}, "is training"), ({"run": "none"}, "no run none of m")):
        with world.ledger.begin() as tx, pytest.raises(Permanent, match=why):
            operate.cancel(tx, MODEL, by="ada", because="not now", now=world.now, **asked)
    assert world.until("watching").state == "watching"


def test_autonomy_stage_registers_as_challenger_and_asks_before_promoting(tmp_path: Path) -> None:
    world = World(tmp_path, autonomy="stage")
    world.trigger()
    world.labels()
    world.until("awaiting_approval")
    world.tick()
    assert world.registry.now == {"champion": "1", "challenger": "2"}
    with world.ledger.begin() as tx:
        operate.promote(tx, MODEL, version=None, by="ada", because="good", now=world.now)
    world.until("watching")
    world.tick()
    assert world.registry.now == {"champion": "2", "previous": "1"}
    world.ledger.close()


def test_a_new_version_that_is_worse_on_the_same_records_is_rolled_back_barred_and_its_incident_goes_on(world: World) -> None:
    promoted(world)
    world.workers.new_is_worse = True
    world.labels(400, prefix="after", predicted_right=False)
    run = world.until("rolled_back")
    world.tick()
    assert (world.champion(), world.registry.now["champion"]) == ("1", "1")
    assert "worse than its predecessor" in run.because
    with world.ledger.begin() as tx:
        assert champions.is_barred(tx, MODEL, "2")
        counted = counters.counters(tx, MODEL)
    assert [counted["champion_moves", how] for how in ("promoted", "rolled_back")] == [1, 1]
    assert counted["ended_runs", "rolled_back"] == 1


def test_a_watch_without_labels_ends_as_kept_unproven_and_says_so(world: World) -> None:
    promoted(world)
    world.tick(3601.0)
    run = world.newest()
    assert run.state == "kept"
    assert "unproven" in run.because


def test_a_person_rolls_back_in_one_command_and_the_run_ends_so(world: World) -> None:
    promoted(world)
    with world.ledger.begin() as tx:
        operate.rollback(tx, MODEL, version=None, by="ada", because="complaints", now=world.now)
    world.tick()
    assert (world.newest().state, world.champion(), world.registry.now["champion"]) == ("rolled_back", "1", "1")
    with world.ledger.begin() as tx:
        counted = counters.counters(tx, MODEL)
    assert (counted["champion_moves", "rolled_back"], counted["ended_runs", "rolled_back"]) == (1, 1)
    with world.ledger.begin() as tx, pytest.raises(Permanent):
        operate.rollback(tx, MODEL, version="2", by="ada", because="back again", now=world.now)


def test_two_people_who_roll_back_at_once_go_back_once_and_further_only_to_a_version_that_is_named(world: World) -> None:
    with world.ledger.begin() as tx:
        for revision, version in enumerate(["2", "3"], start=1):
            champions.move_champion(tx, MODEL, version, expected_revision=revision, now=world.now, because="a test")
        world.now += 3600.0
        operate.rollback(tx, MODEL, version=None, by="ada", because="complaints", now=world.now)
    with (
        world.ledger.begin() as tx,
        pytest.raises(Permanent, match=r"has just gone back to version 2 .*ada: complaints.* name the version: 1"),
    ):
        operate.rollback(tx, MODEL, version=None, by="ben", because="complaints", now=world.now + 60.0)
    assert world.champion() == "2"
    with world.ledger.begin() as tx:
        operate.rollback(tx, MODEL, version="1", by="ben", because="2 is bad, too", now=world.now + 90.0)
    assert world.champion() == "1"


def test_an_unnamed_rollback_goes_back_again_once_the_first_one_is_long_ago(world: World) -> None:
    with world.ledger.begin() as tx:
        for revision, version in enumerate(["2", "3"], start=1):
            champions.move_champion(tx, MODEL, version, expected_revision=revision, now=world.now, because="a test")
        operate.rollback(tx, MODEL, version=None, by="ada", because="complaints", now=world.now)
        operate.rollback(tx, MODEL, version=None, by="ada", because="again", now=world.now + 3600.0)
    assert world.champion() == "1"


def test_too_few_labels_by_the_deadline_end_as_inconclusive(world: World) -> None:
    world.trigger()
    world.labels(20)
    world.tick()
    world.tick()
    assert world.newest().detail["collected"]["gate"][1] == 40
    world.tick(15 * 86_400.0)
    run = world.newest()
    assert run.state == "inconclusive"
    assert "too few labels" in run.because


def test_rows_recorded_before_the_plan_never_judge(world: World) -> None:
    world.labels(500)
    world.now += 10_000.0
    world.trigger()
    world.tick()
    world.tick()
    assert world.newest().state == "collecting"
    assert world.newest().detail["collected"]["gate"] == [0, 40]


@pytest.mark.parametrize(("codes", "state"), [([75, 75], "watching"), ([-9, 0], "watching"), ([75] * 9, "failed")])
def test_a_training_that_fails_for_now_is_tried_again_and_not_for_ever(world: World, codes: list[int], state: str) -> None:
    world.trigger()
    world.labels()
    world.until("training")
    world.workers.codes = codes
    run = world.until(state, "failed", step=lambda: world.survive(120.0))
    assert run.state == state
    assert run.detail["train_s"] >= 20.0


def test_a_run_says_of_itself_why_it_is_tried_again_and_at_which_attempt_it_ended(world: World) -> None:
    world.trigger()
    world.labels()
    run = world.until("training")
    world.workers.codes = [-9] * 9
    said = []
    while world.newest().state == "training":
        world.survive(120.0)
        said.append(world.newest().because)
    assert "training, attempt 1: crashed: ended by signal 9: somebody did that, or the kernel" in said[1]
    assert said[1].endswith("; tried again after 5 s")
    assert said[-1].startswith("training, attempt 4: crashed: ")
    with world.ledger.read() as tx:
        told = [e.data["because"] for e in states_of(tx, run) if e.kind == "run.again"]
    assert [text.partition(":")[0] for text in told] == [f"training, attempt {i}" for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("reason", "times", "state", "attempts"),
    [(Reason.PREEMPTED, 10, "watching", 11), (Reason.OUT_OF_MEMORY, 9, "failed", 2), (Reason.REFUSED, 9, "failed", 1)],
)
def test_a_job_is_tried_again_as_often_as_its_cause_deserves(
    world: World, monkeypatch: pytest.MonkeyPatch, *, reason: Reason, times: int, state: str, attempts: int
) -> None:
    ended = JobStatus(state=JobState.DONE, reason=reason, because="as the cluster says")
    known = world.workers.poll
    monkeypatch.setattr(world.workers, "poll", lambda h: ended if ".training-" in h and int(h.rpartition("-")[2]) < times else known(h))
    world.trigger()
    world.labels()
    run = world.until(state, step=lambda: world.tick(2000.0))
    assert sum(".training-" in key for key in world.workers.ran) == attempts
    assert world.runs.failures[reason] == min(times, attempts)
    assert state == "watching" or f"{reason}: as the cluster says" in run.because


def test_what_a_job_waits_for_stands_in_the_run_until_it_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.trigger()
    world.labels()
    world.until("training")
    waiting = JobStatus(state=JobState.RUNNING, reason=Reason.QUOTA, because="exceeded quota: compute")
    with monkeypatch.context() as patch:
        patch.setattr(world.workers, "poll", lambda _: waiting)
        for _ in range(3):
            world.tick()
        assert world.newest().state == "training"
        assert world.newest().detail["job"]["waits"] == "exceeded quota: compute"
    assert world.until("evaluating").detail["job"]["waits"] == ""


def test_a_changed_plan_makes_the_run_invalid(world: World) -> None:
    run = world.trigger()
    world.labels()
    world.until("training")
    path = world.settings.data_dir / run.folder / "plan.json"
    path.write_text(path.read_text().replace('"alpha": 0.05', '"alpha": 0.5'))
    assert world.until("invalid").state == "invalid"


def test_a_runs_folder_holds_copies_of_all_that_its_plan_names(world: World) -> None:
    assert world.model.retrain is not None
    old_domain = world.folder / "sealed.parquet"
    write_rows(old_domain, labelled_rows(30, prefix="old", at=0.0))
    rules = world.model.retrain.model_copy(update={"old_domain": old_domain})
    world.model = world.model.model_copy(update={"retrain": rules})
    world.trigger()
    run = world.until("collecting")
    root = world.settings.data_dir / run.folder
    plan = read_plan(root / "plan.json")
    named = [plan.champion_adapter, plan.data.old_domain]
    assert named == ["inputs/champion", "inputs/old_domain.parquet"]
    old_domain.unlink()
    assert read_rows(root / "inputs" / "old_domain.parquet").num_rows == 30
    world.labels()
    world.until("dataset")


def test_a_registry_that_is_down_is_waited_for_and_nothing_is_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.trigger()
    world.labels()
    world.until("gated")

    def down(*_: object, **__: object) -> None:
        raise Transient(Reason.UNAVAILABLE, "no answer")

    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "stage", down)
        for _ in range(4):
            world.tick(60.0)
    assert world.newest().state == "registered"
    assert world.runs.failures[Reason.UNAVAILABLE] >= 2
    world.until("watching", step=lambda: world.survive(600.0))


@pytest.mark.parametrize("minutes", [20, 90])
def test_a_registry_that_refuses_for_a_while_ends_no_trained_run_and_for_ever_does(
    world: World, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    world.trigger()
    world.labels()
    world.until("registered")
    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "stage", Mock(side_effect=Permanent(Reason.REFUSED, "404 page not found")))
        for _ in range(minutes):
            world.tick(60.0)
    assert world.until("watching", "failed").state == ("watching" if minutes < 60 else "failed")


def test_a_champion_that_moves_meanwhile_makes_the_comparison_void(world: World) -> None:
    world.trigger()
    world.labels()
    world.until("training")
    with world.ledger.begin() as tx:
        champions.adopt(tx, MODEL, "7", now=world.now, because="by hand")
    assert world.runs.advance(world.model, world.now + 1) is not None
    assert world.newest().state == "cancelled"


def test_a_paused_model_stands_still_until_it_is_resumed(world: World) -> None:
    world.trigger()
    world.labels()
    world.until("dataset")
    with world.ledger.begin() as tx:
        controls.pause(tx, MODEL, by="ada", because="holiday", now=world.now)
    for _ in range(5):
        world.tick()
    assert world.newest().state == "dataset"
    with world.ledger.begin() as tx:
        controls.resume(tx, MODEL, by="ada", because="back", now=world.now)
    world.until("watching")


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"\xff\xfe")])
def test_a_file_that_somebody_took_out_of_a_runs_folder_ends_that_run_and_no_tick(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    world = World(tmp_path)
    world.trigger()
    world.labels()
    run = world.until("registered")
    damage(world.settings.data_dir / run.folder / "candidate" / "candidate.json")
    run = world.until("failed")
    assert "registered: " in run.because
    assert world.champion() == "1"
    world.ledger.close()


def test_a_full_disk_holds_up_a_run_and_no_other_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("daemon.act.steps.promote.copy_whole", Mock(side_effect=full))
    told = Mock(return_value=None)
    world.outbox.handlers = {"report": Mock(side_effect=full), "notify": told, "aliases": lambda *_: None}
    world.trigger()
    world.labels()
    world.until("registered")
    with world.ledger.begin() as tx:
        outbox.put(tx, key="report:1", model=MODEL, kind="report", payload={}, now=0.0)
        outbox.put(tx, key="notify:1", model=MODEL, kind="notify", payload={}, now=world.now)
    for _ in range(3):
        world.tick()
    assert told.called
    monkeypatch.undo()
    assert world.until("watching").version == "2"
    world.ledger.close()


def test_what_the_jobs_of_an_ended_run_left_elsewhere_goes_an_hour_later_and_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.workers.quality = "worse"
    first = world.trigger()
    world.labels()
    world.until("rejected")
    for _ in range(30):
        world.tick(100.0)
    assert world.workers.forgotten == [], "a job that had to be ended may still be at work"
    with monkeypatch.context() as patch:
        patch.setattr(world.workers, "forget", Mock(side_effect=Transient(Reason.UNAVAILABLE, "the store is away")))
        world.tick(3600.0)
    second = world.trigger()
    world.labels(prefix="second")
    world.tick(3600.0)
    assert world.workers.forgotten == [first.id], "the second one is active"
    while world.newest().ended_at is None:
        world.tick(1.0)
    for _ in range(5):
        world.tick(3600.0)
    assert world.workers.forgotten == [first.id, second.id]


def test_a_run_that_a_running_tick_takes_up_shows_each_of_its_states(world: World) -> None:
    run = world.trigger()
    world.tick(-7.0)
    with world.ledger.read() as tx:
        assert [e.data["state"] for e in states_of(tx, run)] == ["planned", "collecting"]


def test_one_run_at_a_time(world: World) -> None:
    world.trigger()
    with pytest.raises(Permanent) as second:
        world.trigger()
    assert second.value.reason is Reason.CONFLICT
    with world.ledger.begin() as tx:
        assert len(runs.runs(tx, MODEL)) == 1


def test_collecting_does_not_look_more_often_than_a_tenth_of_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.act.steps.collect._LOOK_RATIO", 1e9)
    looks = []
    real = Collecting._labelled
    monkeypatch.setattr(Collecting, "_labelled", lambda self, task: looks.append(1) or real(self, task))
    world.trigger()
    for _ in range(5):
        world.tick()
    assert len(looks) == 1
