"""The registry's aliases against the ledger: what somebody else moved is adopted or undone, always told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.act import operate
from daemon.settings import ModelSettings, Settings
from daemon.settings_service import RegistrySettings
from daemon.store import champions, controls, counters, outbox
from daemon.store.ledger import events
from retrain.types import Permanent, Reason, Transient
from tests.acting import MODEL, World


@pytest.fixture
def world(tmp_path: Path, new_database: Callable[[], str]) -> Iterator[World]:
    world = World(tmp_path, url=new_database())
    yield world
    world.ledger.close()


def promote(world: World, version: str) -> None:
    with world.ledger.begin() as tx:
        held = champions.champion(tx, MODEL)
        assert held is not None
        champions.move_champion(tx, MODEL, version, expected_revision=held.revision, now=world.now, because="test")
    world.registry.staged[f"key-{version}"] = version
    world.tick()


def alerts(world: World) -> list[str]:
    with world.ledger.begin() as tx:
        return [m.key for m in outbox.due(tx, world.now + 1e6)]


def test_the_registrys_champion_is_adopted_when_watching_begins(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = {**world.model.model_dump(), "name": "other"}
    world.settings = Settings(data_dir=world.settings.data_dir, models=[ModelSettings.model_validate(other)])
    world.start()
    world.registry.now = {"champion": "4"}
    world.aliases.reconcile(world.now)
    with world.ledger.begin() as tx:
        held = champions.champion(tx, "other")
    assert held is not None
    assert held.version == "4"
    world.ledger.close()


def test_a_version_that_was_never_champion_is_undone_and_counted(world: World) -> None:
    promote(world, "2")
    world.registry.now["champion"] = "9"
    world.tick()
    assert (world.registry.now["champion"], world.champion()) == ("2", "2")
    with world.ledger.begin() as tx:
        assert counters.counters(tx, MODEL)["aliases", "undone"] == 1
        assert events(tx, MODEL, "alias.undone")[0]["data"]["found"] == "9"
        assert not controls.is_paused(tx, MODEL)


def test_a_move_back_to_a_formerly_kept_version_is_taken_as_a_rollback_and_pauses_the_model(world: World) -> None:
    promote(world, "2")
    world.registry.now["champion"] = "1"
    world.tick()
    assert (world.registry.now["champion"], world.champion()) == ("1", "1")
    with world.ledger.begin() as tx:
        assert controls.is_paused(tx, MODEL)


def test_a_move_back_to_a_barred_version_is_undone(world: World) -> None:
    promote(world, "2")
    with world.ledger.begin() as tx:
        champions.bar(tx, MODEL, "1", now=world.now, because="bad")
    world.registry.now["champion"] = "1"
    world.tick()
    assert world.registry.now["champion"] == "2"


def test_a_deleted_alias_is_put_back_and_a_deleted_version_is_told_once(world: World) -> None:
    promote(world, "2")
    del world.registry.now["champion"]
    world.tick()
    assert world.registry.now["champion"] == "2"
    world.registry.deleted.add("2")
    del world.registry.now["champion"]
    for _ in range(3):
        world.tick()
    with world.ledger.begin() as tx:
        assert counters.counters(tx, MODEL)["aliases", "version_deleted"] == 1
    assert world.aliases.lag_s(world.now)[MODEL] == 20.0


def test_a_model_without_retrain_adopts_every_move_as_a_new_epoch(tmp_path: Path) -> None:
    world = World(tmp_path)
    watched = world.model.model_copy(update={"retrain": None})
    named = RegistrySettings(tracking_uri="http://mlflow.example")
    world.settings = world.settings.model_copy(update={"models": [watched], "registry": named})
    world.start()
    world.registry.now["champion"] = "5"
    world.aliases.reconcile(world.now)
    assert world.champion() == "5"
    with world.ledger.begin() as tx:
        assert not controls.is_paused(tx, MODEL)
    world.ledger.close()


def test_our_own_undelivered_move_is_a_lag_and_no_foreign_move(world: World) -> None:
    with world.ledger.begin() as tx:
        held = champions.champion(tx, MODEL)
        assert held is not None
        champions.move_champion(tx, MODEL, "2", expected_revision=held.revision, now=world.now, because="test")
    world.aliases.reconcile(world.now)
    assert world.champion() == "2"
    assert world.registry.now["champion"] == "2"
    with world.ledger.begin() as tx:
        assert not [key for key in counters.counters(tx, MODEL) if key[0] == "aliases"]


def test_an_old_message_delivered_late_does_not_undo_a_newer_move(world: World) -> None:
    promote(world, "2")
    with world.ledger.begin() as tx:
        outbox.put(tx, key="aliases:late", model=MODEL, kind="aliases", payload={"champion": "1"}, now=world.now)
    world.tick()
    assert world.registry.now["champion"] == "2"


def test_a_registry_that_does_not_answer_is_asked_ever_less_often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def down(_model: str) -> dict[str, str]:
        asked.append(world.now)
        raise Transient(Reason.TIMEOUT, "no answer")

    assert world.aliases.lag_s(world.now) == {MODEL: 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "aliases", down)
        for _ in range(100):
            world.now += 1.0
            world.aliases.reconcile(world.now)
    assert 5 <= len(asked) <= 8
    assert world.aliases.lag_s(world.now)[MODEL] == 99.0, "nobody knows what it says"
    with world.ledger.begin() as tx:
        assert len(events(tx, MODEL, "registry.unavailable")) == 1
    world.now += 60.0
    world.aliases.reconcile(world.now)
    assert world.aliases.lag_s(world.now) == {MODEL: 0.0}


def test_the_outbox_gives_up_what_never_can_be_and_goes_on_with_the_rest(world: World) -> None:
    done = []

    def never(*_: object) -> None:
        raise Permanent(Reason.NOT_FOUND, "gone")

    world.outbox.handlers = {"report": never, "notify": lambda message, _now: done.append(message.key)}
    with world.ledger.begin() as tx:
        for kind in ("report", "notify", "pigeon"):
            outbox.put(tx, key=kind, model=MODEL, kind=kind, payload={}, now=world.now)
    assert world.outbox.deliver(world.now) == 1
    assert done == ["notify"]
    with world.ledger.begin() as tx:
        assert outbox.pending(tx) == []
        assert len(events(tx, MODEL, "outbox.given_up")) == 2
    assert world.outbox.failures[Reason.NOT_FOUND] == 2


def test_a_rollback_to_a_version_that_the_registry_lost_is_told_once_and_stops_no_tick(world: World) -> None:
    promote(world, "2")
    world.registry.deleted.add("1")
    with world.ledger.begin() as tx:
        operate.rollback(tx, MODEL, version=None, by="ada", because="a test", now=world.now)
    for _ in range(20):
        world.tick()
    assert (world.champion(), world.registry.now["champion"]) == ("1", "2")
    assert world.aliases.lag_s(world.now)[MODEL] > 0
    with world.ledger.read() as tx:
        assert len(events(tx, MODEL, "registry.refused")) == 1
        assert len(events(tx, MODEL, "alias.version_deleted")) == 1
        assert not events(tx, MODEL, "alias.undone")
    promote(world, "3")
    assert world.registry.now["champion"] == "3"


def test_a_registry_that_lets_nobody_write_is_told_once_and_stops_no_tick(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(world, "2")
    world.registry.now["champion"] = "9"

    def refused(*_: object) -> None:
        raise Permanent(Reason.REFUSED, "403: no permission")

    monkeypatch.setattr(world.registry, "put_alias", refused)
    for _ in range(20):
        world.tick()
    with world.ledger.read() as tx:
        assert len(events(tx, MODEL, "registry.refused")) == 1
        assert len(events(tx, MODEL, "alias.undone")) == 1
    monkeypatch.undo()
    for _ in range(7):
        world.tick()
    assert world.registry.now["champion"] == "2"
