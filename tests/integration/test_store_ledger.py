"""The ledger's functions on a real SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from daemon.store import champions, controls, counters, epochs, incidents, outbox, runs, states, tables, verdicts
from daemon.store.by_traffic import FROM_TRAFFIC, is_from_traffic
from daemon.store.closed import Reign
from daemon.store.ledger import Ledger, events
from daemon.store.migrate import HEAD, revision, upgrade
from detectors.types import EDetectorValue, EValue, Outcome, PValue, Score, Verdict
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from detectors.types import Evidence
    from tests import postgresql


def test_migrations_build_exactly_the_tables_that_the_code_uses(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.begin() as tx:
        assert revision(tx) == HEAD
        assert compare_metadata(MigrationContext.configure(tx), tables.metadata) == []


def test_the_newest_revision_is_the_one_that_the_code_takes_for_the_newest() -> None:
    from pathlib import Path

    from alembic.script import ScriptDirectory

    import daemon.store

    assert ScriptDirectory(str(Path(daemon.store.__file__).parent / "migrations")).get_current_head() == HEAD


def test_upgrading_twice_changes_nothing(ledger: Ledger) -> None:
    assert upgrade(ledger.engine) is False


def test_two_services_that_start_at_once_migrate_once(new_database: Callable[[], str]) -> None:
    url = new_database()
    found = [Ledger(url) for _ in range(3)]
    done: list[bool] = []
    threads = [threading.Thread(target=lambda x=x: done.append(upgrade(x.engine))) for x in found]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for x in found:
        x.close()
    assert sorted(done) == [False, False, True]


def test_a_reader_does_not_wait_for_a_writer_and_sees_only_what_was_committed(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        counters.add(tx, "m", {("records", "stored"): 1})
        with ledger.read() as other:
            assert counters.counters(other, "m") == {}
    with ledger.read() as other:
        assert counters.counters(other, "m") == {("records", "stored"): 1}


def test_who_reads_sees_one_moment_although_others_write_meanwhile(ledger: Ledger) -> None:
    with ledger.read() as tx:
        assert counters.counters(tx, "m") == {}
        with ledger.begin() as other:
            counters.add(other, "m", {("records", "stored"): 1})
        assert counters.counters(tx, "m") == {}


@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)  # SQLite has no transaction that may only read
def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError, match="read-only"), ledger.read() as tx:
        counters.add(tx, "m", {("records", "stored"): 1})


@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
def test_a_database_that_goes_away_costs_the_transaction_and_is_found_again(ledger: Ledger, postgresql_server: postgresql.Server) -> None:
    with ledger.begin() as tx:
        counters.add(tx, "m", {("records", "stored"): 1})

    def add_twice() -> None:
        with ledger.begin() as tx:
            counters.add(tx, "m", {("records", "stored"): 1})
            postgresql_server.restart()
            counters.add(tx, "m", {("records", "stored"): 1})

    with pytest.raises(OperationalError):
        add_twice()
    with ledger.begin() as tx:
        assert counters.counters(tx, "m") == {("records", "stored"): 1}


def test_a_writer_that_waits_too_long_for_another_fails_instead_of_hanging(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.store.ledger._WAIT_MS", 50)
    ledger = Ledger(new_database())
    with ledger.begin(), pytest.raises(OperationalError, match=r"locked|lock timeout"), ledger.begin():
        pass
    ledger.close()


def test_of_two_promotions_with_the_same_expectation_one_wins(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first")
    outcomes: list[str] = []

    def promote(version: str) -> None:
        try:
            with ledger.begin() as tx:
                champions.move_champion(tx, "m", version, expected_revision=1, now=2.0, because="better")
            outcomes.append("moved")
        except Permanent as e:
            outcomes.append(e.reason)

    threads = [threading.Thread(target=promote, args=(str(v),)) for v in (2, 3, 4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(outcomes) == ["conflict", "conflict", "moved"]
    with ledger.read() as tx:
        assert [m.kind for m in outbox.due(tx, 10.0)] == ["aliases"]
        assert [e.ended_at for e in epochs.epochs(tx, "m")] == [None, 2.0]
        held = champions.champion(tx, "m")
        assert held is not None
        assert (held.previous, held.epoch, held.revision) == ("1", 2, 2)


def _previous(tx: Connection) -> str | None:
    held = champions.champion(tx, "m")
    return held.previous if held is not None else None


def test_a_rollback_brings_the_old_reference_back_and_never_returns_to_the_barred_version(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first", reference_path="refs/1", reference_digest="d1")
        champions.move_champion(
            tx, "m", "2", expected_revision=1, now=2.0, because="better", reference_path="refs/2", reference_digest="d2"
        )
        champions.bar(tx, "m", "2", now=3.0, because="worse")
        back = champions.move_champion(tx, "m", "1", expected_revision=2, now=3.0, because="worse")
        assert (back.epoch, back.reference_path, back.reference_digest) == (3, "refs/1", "d1")
        assert _previous(tx) is None
        with pytest.raises(Permanent) as refused:
            champions.move_champion(tx, "m", "2", expected_revision=3, now=4.0, because="again")
        assert refused.value.reason is Reason.REFUSED
        champions.move_champion(tx, "m", "3", expected_revision=3, now=5.0, because="third")
        assert _previous(tx) == "1"
        champions.move_champion(tx, "m", "4", expected_revision=4, now=6.0, because="fourth")
        champions.bar(tx, "m", "3", now=7.0, because="bad after all")
        assert _previous(tx) == "1"


def test_the_same_champion_gets_another_reference_once_and_stays_the_champion_that_it_was(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because=FROM_TRAFFIC, reference_path="refs/1", reference_digest="d1")
        held = champions.champion(tx, "m")
        assert held is not None
        asked = {"because": "normal now", "reference_path": "refs/2", "reference_digest": "d2", "absorbed_from": 1}
        new = champions.renew(tx, held, now=5.0, **asked)  # type: ignore[arg-type]
        with pytest.raises(Permanent, match="moved meanwhile"), tx.begin_nested():
            champions.renew(tx, held, now=6.0, **asked)  # type: ignore[arg-type]
        after = champions.champion(tx, "m")
        assert after is not None
        assert (after.version, after.since, after.epoch, after.revision) == ("1", 1.0, 2, 2)
        assert is_from_traffic(tx, after)
        assert champions.reigns(tx) == {"m": Reign("1", 5.0, 1.0, 2)}
        assert [e.epoch for e in epochs.undoable(tx, "m", new)] == [1]
        assert outbox.pending(tx) == [], "aliases stay"
        champions.move_champion(tx, "m", "2", expected_revision=2, now=7.0, because="better")
        back = champions.move_champion(tx, "m", "1", expected_revision=3, now=8.0, because="worse")
        assert (back.reference_path, back.absorbed_from) == ("refs/2", 1)


def test_a_move_that_fails_leaves_no_trace(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first")

    def move_and_fail() -> None:
        with ledger.begin() as tx:
            champions.move_champion(tx, "m", "2", expected_revision=1, now=2.0, because="better")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        move_and_fail()
    with ledger.read() as tx:
        assert len(epochs.epochs(tx, "m")) == 1
        assert outbox.pending(tx) == []
        assert [e["kind"] for e in events(tx, "m")] == ["champion.adopted"]


def test_adopting_the_champion_again_changes_nothing(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        first = champions.adopt(tx, "m", "1", now=1.0, because="first")
        assert champions.adopt(tx, "m", "1", now=2.0, because="again") == first
        assert champions.adopt(tx, "m", "2", now=3.0, because="moved by hand").epoch == 2
        assert outbox.pending(tx) == []


def test_a_reference_is_pinned_once(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first")
        epochs.pin_reference(tx, "m", 1, path="refs/1", digest="d", now=2.0)
        with pytest.raises(Permanent):
            epochs.pin_reference(tx, "m", 1, path="refs/other", digest="e", now=3.0)
        found = epochs.epoch(tx, "m", 1)
        assert found is not None
        assert found.reference_path == "refs/1"


def test_a_run_enters_each_state_once_and_is_alone(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        runs.create(tx, run_id="a", model="m", trigger={}, champion_version="1", folder="f", now=1.0, because="alarm")
        with pytest.raises(Permanent):
            runs.create(tx, run_id="b", model="m", trigger={}, champion_version="1", folder="f", now=1.0, because="alarm")
        runs.enter(tx, "a", "training", expected="planned", now=2.0, because="enough", detail={"train_s": 5.0})
        with pytest.raises(Permanent):
            runs.enter(tx, "a", "training", expected="planned", now=2.0, because="enough")
        runs.keep(tx, "a", expected="training", detail={"job": 7}, attempt=1)
        ended = runs.enter(
            tx, "a", "kept", expected="training", now=3.0, because="better", ended=True, version="2", record={"passed": True}
        )
        assert (ended.version, ended.detail, ended.attempt, ended.ended_at) == ("2", {"train_s": 5.0, "job": 7}, 0, 3.0)
        with pytest.raises(Permanent):
            runs.enter(tx, "a", "planned", expected="kept", now=4.0, because="an ended run never goes on")
        assert runs.active(tx, "m") is None
        runs.create(tx, run_id="b", model="m", trigger={}, champion_version="1", folder="f", now=5.0, because="alarm")
        assert runs.training_s(tx, "m", since=0.0) == 5.0
        assert runs.n_by_state(tx, "m") == {"kept": 1, "planned": 1}
        assert [r.id for r in runs.runs(tx, "m")] == ["b", "a"]


def test_the_outbox_holds_a_key_once_and_waits_longer_after_each_failure(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert outbox.put(tx, key="k", model="m", kind="notify", payload={"a": 1}, now=0.0)
        assert not outbox.put(tx, key="k", model="m", kind="notify", payload={"a": 2}, now=0.0)
        now, waits = 0.0, []
        for _ in range(12):
            (message,) = outbox.due(tx, now)
            nexts = outbox.failed(tx, message, now=now, error="no route")
            assert outbox.due(tx, nexts - 0.01) == []
            waits.append(nexts - now)
            now = nexts
        assert waits[:3] == [1.0, 2.0, 4.0]
        assert max(waits) == outbox.BACKOFF_MOST_S
        outbox.done(tx, outbox.due(tx, now)[0].id, now=now)
        assert outbox.due(tx, now + 1e6) == []


def test_a_message_that_waits_is_not_held_up_by_a_clock_that_is_set_back(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        outbox.put(tx, key="k", model="m", kind="notify", payload={}, now=90_000.0)
        (message,) = outbox.due(tx, 90_000.0)
        outbox.failed(tx, message, now=90_000.0, error="no route", retry_after_s=1e9)
        assert outbox.due(tx, 90_001.0) == []
        assert [m.key for m in outbox.due(tx, 80_000.0)] == ["k"]


def test_incidents_open_extend_close_and_reopen_with_an_event_each(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        incidents.open_incident(tx, incident_id="i", model="m", epoch=1, now=1.0, subjects={"a": {"kind": "drift"}}, harmful=False)
        with pytest.raises(Permanent):
            incidents.open_incident(tx, incident_id="j", model="m", epoch=1, now=1.0, subjects={}, harmful=False)
        incidents.extend(tx, "i", now=2.0, subjects={"a": {"kind": "drift"}}, harmful=False, last_alarm_at=2.0)
        incidents.extend(tx, "i", now=3.0, subjects={"a": {"kind": "drift"}, "b": {"kind": "risk"}}, harmful=True, last_alarm_at=3.0)
        three = {"a": {"kind": "drift"}, "b": {"kind": "risk"}, "c": {"kind": "risk"}}
        incidents.extend(tx, "i", now=3.5, subjects=three, harmful=True, last_alarm_at=3.5)
        incidents.close(tx, "i", now=4.0, because="quiet")
        incidents.close(tx, "i", now=5.0, because="quiet")
        incidents.reopen(tx, "i", now=6.0, because="rolled back")
        found = incidents.open_of(tx, "m")
        assert found is not None
        assert (found.harmful, sorted(found.subjects), found.last_alarm_at) == (True, ["a", "b", "c"], 6.0)
        kinds = [e["kind"] for e in reversed(events(tx, "m"))]
        assert kinds == ["incident.opened", "incident.extended", "incident.extended", "incident.closed", "incident.reopened"]
        grown = [e["data"] for e in events(tx, "m", "incident.extended")]
        assert [(e["added"], e["harmful"]) for e in grown] == [(["c"], False), (["b"], True)], "that it does harm is said once"


def test_what_surely_changed_and_is_over_is_an_event_once(ledger: Ledger) -> None:
    said = {"named": ["a", "b"], "over": {}, "is_confirmed": True, "log10_e": 9.0, "needed": 1.0}
    with ledger.begin() as tx:
        incidents.open_incident(tx, incident_id="i", model="m", epoch=1, now=1.0, subjects={"a": {"kind": "drift"}}, harmful=False)
        for at, over in ((1.0, {}), (2.0, {"a": 1.0}), (3.0, {"a": 1.0}), (4.0, {})):
            incidents.believe(tx, "i", {**said, "over": over}, now=at)
        found = events(tx, "m", "incident.evidence")
    assert [(e["at"], e["data"]["over"]) for e in found] == [(2.0, {"a": 1.0}), (1.0, {})]


@pytest.mark.parametrize(
    "evidence",
    [
        PValue(p=0.5, alpha=0.1),
        EValue(log10_e=float("-inf"), alpha=0.1),
        EDetectorValue(log10_e=float("inf"), alpha=0.1, delta=0.2),
        Score(distance=0.5, limit=1.0),
    ],
)
def test_the_latest_verdict_comes_back_with_its_evidence(ledger: Ledger, evidence: Evidence) -> None:
    def verdict(n: int) -> Verdict:
        figures = {"value": 0.1, "low": 0.0, "high": 0.2}
        return Verdict(detector="d", subject="s", outcome=Outcome.OK, evidence=evidence, n=n, because="it is so", **figures)

    with ledger.begin() as tx:
        verdicts.save(tx, "m", [verdict(1)], at=1.0, epoch=1)
        verdicts.save(tx, "m", [verdict(2)], at=2.0, epoch=1)
        assert verdicts.latest(tx, "m", epoch=1) == [verdicts.StoredVerdict(verdict=verdict(2), at=2.0, epoch=1)]
        assert verdicts.latest(tx, "m", epoch=2) == []
        assert (verdicts.newest_at(tx, "m"), verdicts.newest_at(tx, "n")) == (2.0, None)


def test_a_verdict_that_is_none_of_ours_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a stored verdict"):
        verdicts.from_json({"evidence": {"type": "Popen"}})


def test_states_belong_to_their_epoch_and_go_with_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        champions.adopt(tx, "m", "1", now=1.0, because="first")
        states.save(tx, "m", "k1", {("d", "s"): (b"1", 1)})
        states.save(tx, "m", "k2", {("d", "s"): (b"2", 2)})
        states.save(tx, "m", "k2", {("d", "s"): (b"3", 3)})
        assert states.load(tx, "m", "k1") == {("d", "s"): (b"1", 1)}
        assert states.load(tx, "m", "k2") == {("d", "s"): (b"3", 3)}
        states.save(tx, "other", "k1", {("d", "s"): (b"4", 4)})
        champions.move_champion(tx, "m", "2", expected_revision=1, now=2.0, because="better")
        assert states.load(tx, "m", "k1") == states.load(tx, "m", "k2") == {}
        assert states.load(tx, "other", "k1") == {("d", "s"): (b"4", 4)}


def test_pause_and_resume_survive_with_their_reasons(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert not controls.is_paused(tx, "m")
        controls.pause(tx, "m", by="ann", because="holiday", now=1.0)
        assert controls.is_paused(tx, "m")
        controls.resume(tx, "m", by="ben", because="back", now=2.0)
        found = controls.control(tx, "m")
        assert found is not None
        assert (found.paused, found.by) == (False, "ben")
        assert [e["kind"] for e in events(tx, "m", "paused", "resumed")] == ["resumed", "paused"]


def test_counters_add_up_over_transactions(ledger: Ledger) -> None:
    for n in (1, 2, 3):
        with ledger.begin() as tx:
            counters.add(tx, "m", {("records", "stored"): n, ("records", "late"): 0})
    with ledger.read() as tx:
        assert counters.counters(tx, "m") == {("records", "stored"): 6}


def test_a_ledger_row_of_an_unknown_epoch_is_told_as_such(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.execute(insert(tables.champion).values(model="m", version="1", epoch=9, revision=1, since=0.0))
        with pytest.raises(Permanent) as missing:
            champions.adopt(tx, "m", "1", now=1.0, because="x")
        assert missing.value.reason is Reason.NOT_FOUND
