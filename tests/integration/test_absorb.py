"""A benign shift is absorbed into the reference, and that is undone: over the wired service, its real door and ledger."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from daemon import absorb
from daemon.show.timeline import timeline
from daemon.store import champions, epochs, incidents, runs
from daemon.store.needs import needs
from daemon.store.reference import load_reference
from daemon.store.tables import outbox
from retrain.types import Permanent
from tests.acting import Fuse, FusedLedger, Killed
from tests.shifting import ADA, MODEL, PANE_S, World, settings

if TYPE_CHECKING:
    import httpx

ABSORB = f"/v1/models/{MODEL}/absorb"
UNDO = f"{ABSORB}/undo"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(settings(tmp_path))
    yield world
    world.close()


def _refused(answer: httpx.Response, status: int, word: str) -> None:
    assert (answer.status_code, word in answer.text) == (status, True), answer.text


def _absorbed(world: World, incident: str) -> bool:
    """Whether model, incident and its page say so."""
    of_model = next(i for i in world.http.get(f"/v1/models/{MODEL}").json()["incidents"] if i["id"] == incident)
    own = world.http.get(f"/v1/incidents/{incident}").json()
    assert of_model["absorbed_at"] == own["absorbed_at"]
    assert ("closed, absorbed" in world.http.get(f"/incidents/{incident}").text) is (own["absorbed_at"] is not None)
    return own["absorbed_at"] is not None


def _told(world: World) -> list[tuple[str, str]]:
    """What people are told of the reference, and of which incident."""
    with world.wired.ledger.read() as tx:
        found = [m.payload for m in tx.execute(select(outbox).where(outbox.c.kind == "notify").order_by(outbox.c.id))]
    return [(p["what"], p["incident"]) for p in found if p["what"].startswith("reference.")]


def _exported(world: World, reason: str) -> bool:
    return f'retuned_reference_moves_total{{model="{MODEL}",reason="{reason}"}} 1.0' in world.http.get("/metrics").text


def test_a_benign_shift_that_is_over_is_not_offered_as_the_new_reference(world: World) -> None:
    world.send(4)
    incident = world.until_benign()
    assert "Absorb into the reference" in world.http.get(f"/incidents/{incident.id}").text
    world.send(14)
    assert world.verdict("conformal_numeric")["outcome"] == "ok"
    assert world.incident() is not None
    _refused(world.http.post(ABSORB, json=ADA), 409, "none of it alarms now")
    assert "Absorb into the reference" not in world.http.get(f"/incidents/{incident.id}").text
    assert "Absorb without proof" in world.http.get(f"/incidents/{incident.id}").text


def test_an_absorbed_shift_is_quiet_while_it_lasts_and_alarms_again_when_that_is_undone(world: World) -> None:
    world.send(4)
    assert world.incident() is None
    first, risk = world.epoch(), world.verdict("risk")
    _refused(world.http.post(UNDO, json={"by": "ada"}), 409, "was not absorbed")
    incident = world.until_benign()
    done = world.http.post(ABSORB, json=ADA)
    assert "records of the" in done.json()["what"], done.text
    assert world.incident() is None
    second = world.epoch()
    assert (second.epoch, second.version, second.absorbed_from) == (2, "1", first.epoch)
    assert second.because == "absorbed by ada: the new shop is open"

    assert _absorbed(world, incident.id)
    assert _told(world) == [("reference.absorbed", incident.id)]

    world.send(8, x=2.0)
    assert world.incident() is None, "the shift goes on, and it is normal now"
    assert not [v for v in world.http.get(f"/v1/models/{MODEL}").json()["verdicts"] if v["outcome"] == "alarm"]
    after = world.verdict("risk")
    assert after["limit"] == risk["limit"], "harm is held to what the version was promoted with"
    assert after["n"] == world.n, "what was known about answers goes on"

    undone = world.http.post(UNDO, json={"by": "ada", "epoch": 2})
    assert undone.status_code == 200, undone.text
    assert not _absorbed(world, incident.id)
    assert _told(world) == [("reference.absorbed", incident.id), ("reference.restored", incident.id)]
    third = world.epoch()
    assert (third.reference_path, third.reference_digest, third.absorbed_from) == (first.reference_path, first.reference_digest, None)
    world.send(3, x=2.0)
    again = world.incident()
    assert again is not None
    assert again.epoch == third.epoch
    assert world.verdict("risk")["n"] == world.n
    _refused(world.http.post(UNDO, json={"by": "ada"}), 409, "was not absorbed")
    assert _exported(world, "absorbed")
    assert _exported(world, "restored")

    with world.wired.ledger.read() as tx:
        kept = incidents.incident(tx, incident.id)
        assert kept is not None
        said = {e.kind: e.data for e in timeline(tx, kept)}
    assert kept.closed_at is not None
    assert said["incident.closed"]["because"] == second.because
    told = said["reference.absorbed"]
    assert (told["by"], told["because"], told["harm"], told["forced"]) == ("ada", "the new shop is open", "benign", False)
    assert (told["digest"], told["before_digest"]) == (second.reference_digest, first.reference_digest)
    assert said["reference.restored"]["digest"] == first.reference_digest


def test_the_new_reference_holds_the_records_since_the_opening_and_the_bound_rows_of_before(world: World) -> None:
    world.send(2)
    incident = world.until_benign()
    opened = incident.opened_at
    model = world.settings.models[0]
    before = load_reference(model, *absorb.files_of(model, Path(str(world.epoch().reference_path))))
    world.http.post(ABSORB, json=ADA).raise_for_status()
    folder = world.settings.data_dir / str(world.epoch().reference_path)
    after = load_reference(model, *absorb.files_of(model, folder))
    assert {p.name for p in folder.iterdir()} == {"records.parquet", "bound.ndjson"}
    assert len(after.columns["input.x"]) == round((world.now - opened) / PANE_S * 150)
    assert abs(after.columns["input.x"].mean() - 2.0) < 0.2, "of the new world alone, not mixed with the old"
    assert after.bound.label.tolist() == before.bound.label.tolist()
    assert after.digest == world.epoch().reference_digest
    with world.wired.ledger.read() as tx:
        kept = needs(tx, model, world.settings.data_dir, world.now).names
    assert {str(world.epoch().reference_path), str(model.reference.path)} <= kept, "retention keeps what undoing brings back"


def test_labels_of_records_from_before_the_absorbing_still_count_when_they_come_late(world: World) -> None:
    world.send(2)
    world.until_benign()
    known = world.n
    world.send(1, x=2.0, labels="late")
    world.http.post(ABSORB, json=ADA).raise_for_status()
    world.send_late()
    world.send(1, x=2.0, labels="none")
    assert world.verdict("risk")["n"] == known + 150


def test_a_harmful_incident_is_not_absorbed_whoever_insists(world: World) -> None:
    world.send(2)
    world.send(4, x=2.0, p_wrong=0.6)
    _refused(world.http.post(ABSORB, json={**ADA, "force": True}), 409, "wrong more often")
    assert world.epoch().epoch == 1


def test_what_is_not_proven_is_absorbed_only_by_force_and_too_few_records_never(world: World) -> None:
    world.send(2)
    _refused(world.http.post(ABSORB, json=ADA), 404, "no open incident")
    while world.incident() is None:
        world.send(1, x=2.0, labels="none")
    _refused(world.http.post(ABSORB, json={**ADA, "because": ""}), 422, "because")
    _refused(world.http.post(ABSORB, json={**ADA, "incident": "other"}), 404, "no incident other")
    _refused(world.http.post(ABSORB, json=ADA), 409, "not proven to be benign")
    _refused(world.http.post(ABSORB, json={**ADA, "force": True}), 409, "a reference needs 300 (reference.learn_n): wait")
    world.send(3, x=2.0, labels="none")
    incident = world.incident()
    assert incident is not None
    with world.wired.ledger.begin() as tx:
        runs.create(tx, run_id="r", model=MODEL, trigger={}, champion_version="1", folder="runs/r", now=world.now, because="scheduled")
    _refused(world.http.post(ABSORB, json={**ADA, "force": True}), 409, "run r is planned")
    with world.wired.ledger.begin() as tx:
        runs.enter(tx, "r", "cancelled", expected="planned", now=world.now, because="a test", ended=True)
    assert world.http.post(ABSORB, json={**ADA, "force": True}).status_code == 200
    _refused(world.http.post(ABSORB, json={**ADA, "force": True, "incident": incident.id}), 409, "is over")


def test_a_column_that_no_record_has_any_more_is_let_go_only_by_force_and_is_back_after_undoing(world: World) -> None:
    world.send(2)
    while (found := world.incident()) is None or (found.diagnosis or {}).get("harm") != "benign" or world.now - found.opened_at < 180.0:
        world.send(1, x=2.0, channel=None)
    _refused(world.http.post(ABSORB, json=ADA), 409, "no record since then is there of input.channel, which")
    world.http.post(ABSORB, json={**ADA, "force": True}).raise_for_status()
    newest = world.http.get(f"/v1/models/{MODEL}").json()["events"]
    assert next(e for e in newest if e["kind"] == "reference.absorbed")["data"]["lost"] == ["input.channel"]
    world.send(1, x=2.0)
    assert "input.channel" not in _watched(world)
    world.http.post(UNDO, json={"by": "ada"}).raise_for_status()
    world.send(1, x=2.0)
    assert "input.channel" in _watched(world)


def _watched(world: World) -> set[str]:
    return {v["subject"] for v in world.http.get(f"/v1/models/{MODEL}").json()["verdicts"]}


def test_a_learnt_reference_without_bound_rows_is_absorbed_by_force_and_comes_back(tmp_path: Path) -> None:
    world = World(settings(tmp_path, reference={"kind": "learn", "path": None, "bound": None, "learn_days": 4 * PANE_S / 86_400.0}))
    world.send(8)
    learnt = world.epoch()
    world.send(4, x=2.0)
    _refused(world.http.post(ABSORB, json=ADA), 409, "no bound on the share of wrong classes is known")
    world.http.post(ABSORB, json={**ADA, "force": True}).raise_for_status()
    world.send(3, x=2.0)
    assert world.incident() is None
    assert {p.name for p in (world.settings.data_dir / str(world.epoch().reference_path)).iterdir()} == {"records.parquet"}
    world.http.post(UNDO, json={"by": "ada"}).raise_for_status()
    assert (world.epoch().reference_path, world.epoch().reference_digest) == (learnt.reference_path, learnt.reference_digest)
    world.close()


def test_with_a_rhythm_hours_that_the_new_records_do_not_cover_are_named_before_they_are_let_go(tmp_path: Path) -> None:
    world = World(settings(tmp_path, reference={"rhythm": "hour_of_day"}, n=2400))  # 100 an hour: of 25 the shift may be past at once
    world.until_benign()
    refused = world.http.post(ABSORB, json=ADA)
    _refused(refused, 409, "of 24 hours (hour of day), which would have no reference any more")
    done = world.http.post(ABSORB, json={**ADA, "force": True})
    assert re.search(r"without a reference: 2[23] of 24 hours", done.json()["what"]), done.text
    world.close()


def test_what_comes_as_damage_is_absorbed_by_force_and_is_no_damage_then(tmp_path: Path) -> None:
    world = World(settings(tmp_path, has_quality=True))
    world.send(2)
    assert world.incident() is None
    world.send(5, channel="kiosk")
    incident = world.incident()
    assert incident is not None
    assert "unseen_category_rise:input.channel" in incident.subjects
    _refused(world.http.post(ABSORB, json=ADA), 409, "data come damaged")
    world.http.post(ABSORB, json={**ADA, "force": True}).raise_for_status()
    world.send(4, channel="kiosk")
    assert world.incident() is None
    world.close()


def test_an_incident_that_a_person_closed_is_absorbed_while_it_still_alarms(world: World) -> None:
    world.send(2)
    incident = world.until_benign()
    world.http.post(f"/v1/incidents/{incident.id}/close", json={**ADA, "judged": "expected"}).raise_for_status()
    world.send(1, x=2.0)
    world.http.post(ABSORB, json={**ADA, "incident": incident.id}).raise_for_status()
    kept = world.http.get(f"/v1/incidents/{incident.id}").json()
    assert (kept["judged"], kept["held"]) == ("expected", None)
    world.send(2, x=2.0)
    assert world.incident() is None


def test_nothing_is_undone_for_a_version_that_came_after(world: World) -> None:
    world.send(2)
    world.until_benign()
    world.http.post(ABSORB, json=ADA).raise_for_status()
    _refused(world.http.post(UNDO, json={"by": "ada", "epoch": 1}), 409, "epoch 2 by now, not 1")
    with world.wired.ledger.begin() as tx:
        champions.move_champion(tx, MODEL, "2", expected_revision=2, now=world.now, because="promoted")
    _refused(world.http.post(UNDO, json={"by": "ada"}), 409, "(version 2) was not absorbed")
    with world.wired.ledger.begin() as tx:
        back = champions.move_champion(tx, MODEL, "1", expected_revision=3, now=world.now + 1.0, because="rolled back")
        assert back.absorbed_from == 1, "a rollback brings the absorbed reference back, and its undoing"
    world.http.post(UNDO, json={"by": "ada"}).raise_for_status()
    assert world.epoch().absorbed_from is None


def test_two_absorbings_are_undone_one_after_the_other(world: World) -> None:
    world.send(2)
    paths = [world.epoch().reference_path]
    for x in (2.0, 4.0):
        world.until_benign(x=x)
        world.http.post(ABSORB, json=ADA).raise_for_status()
        paths.append(world.epoch().reference_path)
    assert len(set(paths)) == 3
    for path in (paths[1], paths[0]):
        world.http.post(UNDO, json={"by": "ada"}).raise_for_status()
        assert world.epoch().reference_path == path


def test_a_pane_that_was_closed_for_an_epoch_that_is_over_is_stored_and_judged_by_nobody(world: World) -> None:
    world.send(2)
    world.until_benign()
    pipeline, real = world.wired.pipeline, world.wired.pipeline.judge.fold
    folded: list[int | None] = []

    def absorb_then_fold(tx: Any, pane: Any, now: float) -> None:
        if not folded:  # between the closing of the pane and its fold a person was quicker
            held = champions.champion(tx, MODEL)
            assert held is not None
            path, digest = world.epoch().reference_path, world.epoch().reference_digest
            champions.renew(tx, held, now=now, because="x", reference_path=str(path), reference_digest=digest, absorbed_from=None)
        folded.append(pane.epoch)
        real(tx, pane, now)

    pipeline.judge.fold = absorb_then_fold  # type: ignore[method-assign]
    world.send(1, x=2.0)
    assert (folded, world.epoch().epoch) == ([1], 2)
    assert not [v for v in world.http.get(f"/v1/models/{MODEL}").json()["verdicts"] if v["evidence"]["kind"] == "e_detector_value"]


def test_a_model_that_no_registry_knows_follows_its_traffic_after_an_absorbing_too(world: World) -> None:
    world.send(2)
    world.until_benign()
    world.http.post(ABSORB, json=ADA).raise_for_status()
    world.version = "2"
    world.send(1, x=2.0)
    assert (world.epoch().version, world.epoch().absorbed_from) == ("2", None)


def test_of_two_persons_who_absorb_at_once_one_does_and_the_other_is_told(world: World) -> None:
    world.send(2)
    incident = world.until_benign()
    outcomes: list[str] = []

    def absorb_it(by: str) -> None:
        try:
            outcomes.append(world.by_person.absorb(MODEL, incident=incident.id, force=False, by=by, because="x").what)
        except Permanent as e:
            outcomes.append(str(e))

    threads = [threading.Thread(target=absorb_it, args=(by,)) for by in ("ada", "bob", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("epoch 2" in said for said in outcomes) == 1, outcomes
    assert sum(said.startswith("conflict: incident") for said in outcomes) == 2, outcomes
    assert world.epoch().epoch == 2


def test_killed_at_any_touch_it_is_absorbed_wholly_or_not_at_all_and_can_be_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send(2)
    incident = world.until_benign()
    ledger = FusedLedger(str(world.wired.ledger.engine.url))
    ledger.fuse = Fuse()
    of = absorb.Absorb(ledger, world.settings.models[0], world.settings.data_dir)
    for name in ("write_rows", "copy_whole"):
        monkeypatch.setattr(absorb, name, _fused(ledger.fuse, getattr(absorb, name)))
    place = n_killed = 0
    while world.epoch().epoch == 1:
        place += 1
        ledger.fuse.touched, ledger.fuse.at = 0, place
        try:
            of.absorb(None, by="ada", because="x", is_forced=False, now=world.now)
        except Killed:
            n_killed += 1
            is_whole = world.epoch().epoch == 2
            found = world.incident()
            assert (found is None) == is_whole, place
            world.wired.pipeline.tick(world.now)
    assert n_killed == place == 9
    ledger.close()
    assert world.epoch().because == "absorbed by ada: x"
    with world.wired.ledger.read() as tx:
        assert len(epochs.epochs(tx, MODEL)) == 2
    world.send(2, x=2.0)
    assert world.incident() is None
    _refused(world.http.post(ABSORB, json={**ADA, "incident": incident.id}), 409, "is over")


def _fused(fuse: Fuse, write: Any) -> Any:
    def wrapped(*asked: Any) -> None:
        fuse.touch()
        write(*asked)
        fuse.touch()

    return wrapped


def test_the_incidents_page_absorbs_by_a_button_and_undoes_by_another(world: World) -> None:
    world.send(2)
    incident = world.until_benign()
    path = f"/incidents/{incident.id}"
    page = world.http.get(path).text
    assert "Absorb into the reference" in page
    assert "Undo the absorbing" not in page
    form = {"token": _field(page, "token"), "by": "ada", "because": ""}
    _refused(world.http.post(f"{path}/absorb", data=form), 409, "a reason is needed")
    done = world.http.post(f"{path}/absorb", data={**form, "because": "the new shop is open"})
    assert (done.status_code, done.headers["location"].partition("?")[0]) == (303, path)
    page = world.http.get(done.headers["location"]).text
    assert all(
        part in page for part in ("Absorbed into the reference by ada", "“the new shop is open”", "since epoch 2", "Undo the absorbing")
    )
    assert "Absorb into the reference<" not in page
    assert "absorbed, epoch 2" in world.http.get(f"/models/{MODEL}").text
    form = {"token": _field(page, "token"), "by": "ada", "because": "it was a mistake", "epoch": _field(page, "epoch")}
    assert world.http.post(f"/models/{MODEL}/restore", data=form).status_code == 303
    _refused(world.http.post(f"/models/{MODEL}/restore", data=form), 409, "epoch 3 by now, not 2")
    _refused(world.http.post(f"/models/{MODEL}/restore", data={**form, "epoch": "x"}), 422, "which epoch")
    page = world.http.get(path).text
    assert all(part in page for part in ("Absorbing undone by ada", "absorbed once", "were the reference from epoch 2"))
    assert "Undo the absorbing" not in page


def test_a_page_offers_to_absorb_what_is_not_proven_only_as_such_and_nothing_of_what_is_harmful(world: World) -> None:
    world.send(2)
    world.send(4, x=2.0, labels="none")
    incident = world.incident()
    assert incident is not None
    page = world.http.get(f"/incidents/{incident.id}").text
    assert "Absorb without proof" in page
    form = {"token": _field(page, "token"), "by": "ada", "because": "a campaign", "force": _field(page, "force")}
    assert world.http.post(f"/incidents/{incident.id}/absorb", data=form).status_code == 303
    world.send(5, x=2.0, p_wrong=0.6)
    harmful = world.incident()
    assert harmful is not None
    assert "/absorb" not in world.http.get(f"/incidents/{harmful.id}").text


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None, f"the page has no {name}"
    return found.group(1)
