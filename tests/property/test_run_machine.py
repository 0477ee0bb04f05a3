"""Whatever happens in whatever order, with kills in between: the promises about champions hold in the ledger."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import func, select

from daemon.act import operate
from daemon.act.steps import collect
from daemon.decide.run import State, allowed, is_ended, judged, may_promote
from daemon.store import champions, controls, epochs, runs, tables
from daemon.store.ledger import events
from retrain.gates.record import is_sound
from retrain.types import Permanent
from tests.acting import MODEL, Killed, World

_CHAMPION_WAS_MOVED = {State.PROMOTED, State.WATCHING, State.KEPT, State.ROLLED_BACK}


@pytest.mark.parametrize("state", list(State))
def test_every_state_leads_to_an_end(state: State) -> None:
    reached, todo = set(), [state]
    while todo:
        here = todo.pop()
        if here not in reached:
            reached.add(here)
            todo += allowed(here)
    assert any(is_ended(s) for s in reached)


@pytest.mark.parametrize("by", [None, "", "  ", "ada"])
def test_only_a_pass_or_a_named_approval_of_an_inconclusive_record_may_promote(by: str | None) -> None:
    gates = [{"name": "superiority"}]
    assert may_promote({"passed": True, "inconclusive": False, "gates": gates}, by)
    assert not may_promote({"passed": False, "inconclusive": False, "gates": gates}, by)
    assert not may_promote(None, by)
    assert not may_promote({"passed": True, "inconclusive": False, "gates": []}, by)
    assert may_promote({"passed": False, "inconclusive": True, "gates": gates}, by) == (by == "ada")


class RunMachine(RuleBasedStateMachine):
    """Ticks, kills, people and strangers in the registry, over a real ledger."""

    @initialize(autonomy=st.sampled_from(["train", "stage", "promote"]))
    def begin(self, autonomy: str) -> None:
        collect._LOOK_RATIO = 0.0
        self.folder = Path(tempfile.mkdtemp(prefix="retuned-machine-"))
        self.world = World(self.folder, autonomy=autonomy)
        self.trigger(quality="better", worse_later=False)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.ledger.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def people(self, ask: object) -> None:
        """What a person asks for is done or refused."""
        try:
            with self.world.ledger.begin() as tx:
                ask(tx)  # type: ignore[operator]  # a function of the transaction
        except (Permanent, Killed):
            self.world.fuse.at = None

    @rule(quality=st.sampled_from(["better", "better", "better", "few", "same", "worse"]), worse_later=st.booleans())
    def trigger(self, quality: str, *, worse_later: bool) -> None:
        self.world.workers.quality, self.world.workers.new_is_worse = quality, worse_later
        try:
            self.world.trigger()
        except Permanent:
            return
        self.world.labels(200, prefix=f"t{self.world.now}")
        self.ticks(5, None, 10.0)

    @rule(n=st.sampled_from([3, 12, 25]), kill=st.one_of(st.none(), st.integers(1, 80)), seconds=st.sampled_from([10.0, 10.0, 600.0]))
    def ticks(self, n: int, kill: int | None, seconds: float) -> None:
        self.world.fuse.touched, self.world.fuse.at = 0, kill
        for _ in range(n):
            self.world.survive(seconds)
        self.world.fuse.at = None

    @rule(n=st.sampled_from([6, 15]), kill=st.one_of(st.none(), st.integers(1, 60)))
    def labels_of_the_champion(self, n: int, kill: int | None) -> None:
        self.world.labels(80, prefix=f"c{self.world.now}", predicted_right=not self.world.workers.new_is_worse)
        self.ticks(n, kill, 10.0)

    @rule(by=st.sampled_from(["ada", "ada", " "]), version=st.sampled_from([None, "1", "2", "3", "9"]), approves=st.booleans())
    def person(self, by: str, version: str | None, *, approves: bool) -> None:
        if approves:
            self.people(lambda tx: operate.approve(tx, MODEL, run=None, by=by, because="x", now=self.world.now))
        else:
            self.people(lambda tx: operate.promote(tx, MODEL, version=version, by=by, because="x", now=self.world.now))
        self.ticks(4, None, 10.0)

    @rule()
    def cancel(self) -> None:
        self.people(lambda tx: operate.cancel(tx, MODEL, run=None, by="ada", because="x", now=self.world.now))

    @rule()
    def rollback(self) -> None:
        with self.world.ledger.engine.begin() as tx:
            held = champions.champion(tx, MODEL)
        assert held is not None
        if held.previous is None:
            return
        with self.world.ledger.begin() as tx:  # always can roll back: nothing may refuse it
            operate.rollback(tx, MODEL, version=held.previous, by="ada", because="x", now=self.world.now)
        assert self.world.champion() == held.previous

    @rule(version=st.sampled_from([None, "1", "2", "9"]), paused=st.sampled_from([True, False, False]))
    def stranger_and_pause(self, version: str | None, *, paused: bool) -> None:
        if version is not None:
            self.world.registry.now["champion"] = version
            self.ticks(2, None, 10.0)
        say = controls.pause if paused else controls.resume
        with self.world.ledger.begin() as tx:
            say(tx, MODEL, by="ada", because="x", now=self.world.now)

    @invariant()
    def one_champion_one_epoch_one_run(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.ledger.engine.begin() as tx:
            held = champions.champion(tx, MODEL)
            n_champions = tx.execute(select(func.count()).select_from(tables.champion).where(tables.champion.c.model == MODEL)).scalar()
            running = [e for e in epochs.epochs(tx, MODEL) if e.ended_at is None]
            active = [r for r in runs.runs(tx, MODEL) if r.ended_at is None]
            barred = champions.barred(tx, MODEL)
        assert n_champions == 1
        assert held is not None
        assert [(e.epoch, e.version) for e in running] == [(held.epoch, held.version)]
        assert held.version not in barred
        assert held.previous not in barred
        assert len(active) <= 1

    @invariant()
    def nothing_was_promoted_without_the_right_to_be(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.ledger.engine.begin() as tx:
            every = runs.runs(tx, MODEL)
            moved = {e["data"]["version"] for e in events(tx, MODEL, "champion.moved", limit=1000)}
        for run in every:
            if State(run.state) in _CHAMPION_WAS_MOVED:
                assert is_sound(run.record)
                assert may_promote(run.record, run.approved_by)
                assert judged(run.record) is not State.REJECTED
            elif run.record is not None and judged(run.record) is State.REJECTED:
                assert run.version is None
        allowed_versions = {"1"} | {r.version for r in every if may_promote(r.record, r.approved_by)}
        assert moved <= allowed_versions

    @invariant()
    def each_job_ran_once_and_each_run_has_one_version(self) -> None:
        if not hasattr(self, "world"):
            return
        assert all(n == 1 for n in self.world.workers.ran.values())
        with self.world.ledger.engine.begin() as tx:
            every = runs.runs(tx, MODEL)
        for run in every:
            assert run.version in {None, self.world.registry.staged.get(run.id)}


RunMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
TestRunMachine = RunMachine.TestCase
