"""A shop that a new reference has too few rows of: people are told before it is let go, and after a promotion that it was."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from daemon.act import operate
from daemon.act.message import compose
from daemon.compared import Comparer, learnt_name
from daemon.settings import ModelSettings
from daemon.store import champions, epochs
from daemon.store.ledger import events
from daemon.store.tables import outbox
from retrain.dataset.rows import table_of, write_rows
from tests import acting, shifting
from tests.shifting import ADA, MODEL, PANE_S, PER_PANE, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from retrain.layout import RunFolder

ABSORB = f"/v1/models/{MODEL}/absorb"


def _world(folder: Path, monkeypatch: pytest.MonkeyPatch, **reference: int) -> World:
    """One record in twenty is the French shop's, 75 of the reference's; one in forty of those that moved."""
    real = shifting.row

    def row(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> shifting.Said:
        record, truth = real(rng, name, at, x=x, p_wrong=p_wrong)
        number = int(re.sub(r"\D", "", name))
        is_french = number % (40 if x else 20) == 0
        shop = "fr" if is_french else ("de", "uk", "de")[number % 3]
        return {**record, "inputs": {**record["inputs"], "shop": shop}}, truth

    monkeypatch.setitem(shifting.SAY, shifting.CLASSES, row)
    made = shifting.settings(folder, n=1500, reference=reference)
    said = json.loads(made.model_dump_json())
    (model,) = said["models"]
    model["columns"]["shop"] = {"kind": "category"}
    model["monitors"]["segments"] = {"by": ["shop"], "inputs": None}
    return World(type(made).model_validate(said))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = _world(tmp_path, monkeypatch)
    yield found
    found.close()


def _watched(world: World) -> set[str]:
    return {v["subject"] for v in world.http.get(f"/v1/models/{MODEL}").json()["verdicts"] if "shop=fr" in v["subject"]}


def _told(world: World) -> list[str]:
    """What people are told of the reference."""
    with world.wired.ledger.read() as tx:
        found = [m.payload for m in tx.execute(select(outbox).where(outbox.c.kind == "notify").order_by(outbox.c.id))]
    return [str(p["because"]) for p in found if p["what"].startswith("reference.")]


def test_a_shop_with_too_few_records_since_the_opening_is_let_go_only_by_force_and_everybody_is_told_which(world: World) -> None:
    world.send(2)
    before = _watched(world)
    assert before
    incident = world.until_benign()
    few = world.http.post(ABSORB, json=ADA)
    assert few.status_code == 409, few.text
    found = re.search(
        r"nothing would watch shop=fr \((\d+) rows, segments.least_n is 30\) any more: wait, .* about (\d+) minutes more", few.text
    )
    assert found is not None, few.text
    assert "shop=de" not in few.text
    n, minutes = int(found[1]), int(found[2])
    since = (world.now - incident.opened_at) / PANE_S
    assert n == pytest.approx(since * PER_PANE / 40, abs=4)
    assert minutes == pytest.approx((30 - n) / n * since, abs=1)
    assert world.epoch().epoch == 1
    done = world.http.post(ABSORB, json={**ADA, "force": True})
    assert f"not watched any more: shop=fr ({n} rows, segments.least_n is 30)" in done.json()["what"], done.text
    assert f"not watched any more: shop=fr ({n} rows" in _told(world)[-1]
    assert "<br>not watched any more: shop=fr</dd>" in world.http.get(f"/incidents/{incident.id}").text
    newest = world.http.get(f"/v1/models/{MODEL}").json()["events"]
    assert next(e for e in newest if e["kind"] == "reference.absorbed")["data"]["lost"] == ["shop=fr"]
    world.send(1, x=2.0)
    assert _watched(world) == set()
    world.http.post(f"{ABSORB}/undo", json={"by": "ada"}).raise_for_status()
    world.send(1, x=2.0)
    assert _watched(world) == before
    assert "<br>not watched meanwhile: shop=fr</dd>" in world.http.get(f"/incidents/{incident.id}").text


def test_where_waiting_brings_no_more_rows_the_refusal_says_which_setting_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world(tmp_path, monkeypatch, max_n=700)
    world.send(2)
    world.until_benign()
    world.send(4, x=2.0)
    few = world.http.post(ABSORB, json=ADA)
    assert "any more: waiting brings too few (reference.max_n): raise it" in few.text, few.text
    world.close()


def test_who_waits_as_long_as_the_refusal_says_needs_no_force(world: World) -> None:
    world.send(2)
    world.until_benign()
    few = world.http.post(ABSORB, json=ADA)
    minutes = int(re.findall(r"about (\d+) minutes more", few.text)[0])
    world.send(minutes + 1, x=2.0)
    done = world.http.post(ABSORB, json=ADA)
    assert done.status_code == 200, done.text
    assert "any more" not in done.text
    world.send(1, x=2.0)
    assert _watched(world)


def test_a_new_shop_that_only_the_absorbed_reference_knows_is_named_when_that_is_undone(world: World) -> None:
    world.send(2)
    incident = world.until_benign()
    world.send(3, x=2.0, shop="it")
    world.http.post(ABSORB, json={**ADA, "incident": incident.id, "force": True}).raise_for_status()
    done = world.http.post(f"{ABSORB}/undo", json={"by": "ada"})
    assert "not watched any more: shop=it (0 rows, segments.least_n is 30)" in done.json()["what"]
    assert "absorbing undone by ada. Not watched any more: shop=it" in _told(world)[-1]


def test_the_page_of_a_benign_incident_says_so_and_lets_it_go_by_a_tick(world: World) -> None:
    world.send(2)
    incident = world.until_benign()
    path = f"/incidents/{incident.id}"
    page = world.http.get(path).text
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token is not None
    assert '<input type="checkbox" name="force" value="yes">' in page
    form = {"token": token[1], "by": "ada", "because": "the new shop is open"}
    refused = world.http.post(f"{path}/absorb", data=form)
    assert refused.status_code == 409
    assert "nothing would watch shop=fr" in refused.text
    assert world.http.post(f"{path}/absorb", data={**form, "force": "yes"}).status_code == 303
    assert world.epoch().epoch == 2


def _rows(shops: dict[str, int]) -> pa.Table:
    """As the record log has them: so many rows of each shop."""
    names = [f"{shop}-{i}" for shop, n in shops.items() for i in range(n)]
    inputs = [{"text": f"text {name}", "shop": name.split("-")[0]} for name in names]
    return table_of([{"id": name, "at": 1.0, "text": of["text"], "inputs": json.dumps(of)} for name, of in zip(names, inputs, strict=True)])


def _retraining(folder: Path, monkeypatch: pytest.MonkeyPatch, autonomy: str) -> acting.World:
    """90 rows of three shops are the reference; of the candidate's held-out rows seven are the French shop's."""
    evaluated = acting.Workers._evaluation

    def with_shops(workers: acting.Workers, of: RunFolder) -> None:
        evaluated(workers, of)
        write_rows(of.reference, _rows({"de": 60, "uk": 20, "fr": 7}))

    monkeypatch.setattr(acting.Workers, "_evaluation", with_shops)
    world = acting.World(folder, autonomy=autonomy)
    said = json.loads(world.model.model_dump_json())
    said |= {"columns": {"text": {"kind": "text"}, "shop": {"kind": "category"}}}
    world.model = ModelSettings.model_validate({**said, "monitors": {"segments": {"by": ["shop"], "least_n": 20}}})
    _renewed(world, "references/first")
    write_rows(world.settings.data_dir / "references" / "first" / "records.parquet", _rows({"de": 40, "uk": 30, "fr": 20}))
    world.trigger()
    world.labels()
    return world


def _renewed(world: acting.World, path: str) -> None:
    with world.ledger.begin() as tx:
        held = champions.champion(tx, acting.MODEL)
        assert held is not None
        champions.renew(tx, held, now=world.now, because="x", reference_path=path, reference_digest="d", absorbed_from=None)


def test_after_a_promotion_people_are_told_which_shop_its_reference_has_too_few_rows_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _retraining(tmp_path, monkeypatch, "promote")
    assert world.until("watching").detail["lost"] == ["shop=fr"]
    with world.ledger.read() as tx:
        (said,) = (e["data"]["because"] for e in events(tx, acting.MODEL, "run.entered") if e["data"]["state"] == "promoted")
        (told,) = (m.payload for m in tx.execute(select(outbox)) if m.payload.get("what") == "run.promoted")
    assert said == "version 2 replaces 1: every gate passed; not watched any more: shop=fr (7 rows, segments.least_n is 20)"
    assert compose(acting.MODEL, told, "http://x").body.startswith(said)
    world.ledger.close()


def test_who_is_asked_to_promote_is_told_it_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _retraining(tmp_path, monkeypatch, "stage")
    run = world.until("awaiting_approval")
    assert run.because.endswith("From its promotion on: not watched any more: shop=fr (7 rows, segments.least_n is 20)")
    world.ledger.close()


def test_a_promotion_does_not_wait_for_a_reference_that_cannot_be_read(tmp_path: Path) -> None:
    world = acting.World(tmp_path)
    _renewed(world, "gone")
    world.trigger()
    world.labels()
    assert world.until("watching").detail["lost"] == []
    world.ledger.close()


def _compared(world: acting.World) -> list[str]:
    """What people are told by two ticks and, after a restart, a third."""
    for comparer in (one := Comparer(world.ledger, world.settings.data_dir), one, Comparer(world.ledger, world.settings.data_dir)):
        comparer.compare(world.model, world.now)
    with world.ledger.read() as tx:
        found = [m.payload for m in tx.execute(select(outbox).order_by(outbox.c.id)) if m.payload.get("what", "").startswith("reference.")]
    return [compose(acting.MODEL, payload, "http://x").body.partition("\n")[0] for payload in found]


def test_a_rollback_names_the_shop_that_only_the_newer_reference_knew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _retraining(tmp_path, monkeypatch, "promote")
    world.until("watching")
    assert _compared(world) == [], "a promotion has said it itself"
    with world.ledger.begin() as tx:
        held = champions.champion(tx, acting.MODEL)
        assert held is not None
        path = world.settings.data_dir / str(epochs.epochs(tx, acting.MODEL)[0].reference_path)
        write_rows(path / "records.parquet", _rows({"de": 60, "it": 25}))
        operate.rollback(tx, acting.MODEL, version=None, by="Ada", because="it errs", now=world.now)
    assert _compared(world) == ["the reference of version 1 is back; not watched any more: shop=it (0 rows, segments.least_n is 20)"]
    with world.ledger.read() as tx:
        (noted,) = events(tx, acting.MODEL, "reference.compared")
    assert noted["data"]["lost"] == ["shop=it"]
    world.ledger.close()


def test_a_version_that_has_learnt_its_reference_names_the_shop_that_it_saw_too_few_records_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _retraining(tmp_path, monkeypatch, "promote")
    with world.ledger.begin() as tx:
        new = champions.adopt(tx, acting.MODEL, "7", now=world.now, because="it answers")
    assert _compared(world) == [], "it learns"
    folder = f"references/{acting.MODEL}/{learnt_name(new)}"
    write_rows(world.settings.data_dir / folder / "records.parquet", _rows({"de": 60, "uk": 20, "fr": 3}))
    with world.ledger.begin() as tx:
        epochs.pin_reference(tx, acting.MODEL, new.epoch, path=folder, digest="d7", now=world.now)
    (said,) = _compared(world)
    assert said == "the reference of version 7 is learnt from its traffic; not watched any more: shop=fr (3 rows, segments.least_n is 20)"
    world.ledger.close()
