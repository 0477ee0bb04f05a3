"""In one shop the model says yes more often and is still right, while the whole hardly moves: a replay, and a service through its door."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.absorb import Absorb
from daemon.replay.run import replay
from retrain.types import Permanent
from tests import shifting
from tests.integration import test_replay as recorded
from tests.shifting import MODEL, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOPS = {"de": 0.6, "uk": 0.28, "fr": 0.12}
N, SHIFT = 720, 300
ROWS = recorded.rows
FR = "output.label[shop=fr]"
CONFIG = recorded.CONFIG.replace("channel: category", "channel: category, shop: category").replace("pane_s: 60", "pane_s: 120")
CONFIG = CONFIG.replace("tick_s: 10", "tick_s: 60")
CONFIG = "\n".join(line for line in CONFIG.splitlines() if "performance:" not in line)


def _rows(seed: int, n: int, *, shift: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """As recorded, with shops; "yes" is said of a third, from `shift` on in nearly all of the French ones."""
    rng = np.random.default_rng([seed, 7])
    for i, (record, label) in enumerate(ROWS(seed, n, shift=n)):
        shop = str(rng.choice([*SHOPS], p=[*SHOPS.values()]))
        said = "yes" if rng.random() < (0.9 if shop == "fr" and i >= shift else 0.35) else "no"
        output = {"label": said, "scores": {said: 0.9}}
        yield {**record, "inputs": {**record["inputs"], "shop": shop}, "output": output}, {**label, "label": said}


def test_a_replay_without_labels_to_watch_names_the_shop_whose_answers_moved_and_says_nothing_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "rows", _rows)
    monkeypatch.setattr(recorded, "CONFIG", CONFIG + "\n      performance: null\n      segments: [shop]\n")
    config, records, labels = recorded.recorded(tmp_path, shift=SHIFT, n=N)
    summary = replay(recorded.retraining(config), records, labels, tmp_path / "out")
    (incident,) = summary["incidents"]
    (subject,) = incident["subjects"].values()
    assert (subject["detector"], subject["subject"], subject["kind"]) == ("conformal_category", FR, "drift")
    assert subject["because"].startswith("shop=fr: the share of ")
    moved_from = datetime.fromtimestamp(recorded.START + SHIFT * recorded.EVERY_S, UTC)
    assert 0.0 < (datetime.fromisoformat(incident["opened_at"]) - moved_from).total_seconds() < 1200.0
    assert min(a["record_index"] for a in summary["alarms"]) > SHIFT
    assert incident["evidence"]["named"] == [FR]
    assert (incident["diagnosis"]["harm"], incident["diagnosis"]["shift"]) == ("unknown", "unknown")
    assert summary["triggers"] == []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The French shop's x decides its answer: x = 2 is nearly always yes there."""
    real = shifting.row

    def row(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> shifting.Said:
        shop = str(rng.choice([*SHOPS], p=[*SHOPS.values()]))
        record, truth = real(rng, name, at, x=0.0, p_wrong=p_wrong)
        if shop == "fr" and rng.random() < x / 2.0:
            record["output"] = {"label": "yes", "scores": {"yes": 0.9, "no": 0.1}}
            truth = {"label": "yes"}
        return {**record, "inputs": {**record["inputs"], "shop": shop}}, truth

    monkeypatch.setitem(shifting.SAY, shifting.CLASSES, row)
    made = shifting.settings(tmp_path, reference={"learn_n": 100})
    said = json.loads(made.model_dump_json())
    (model,) = said["models"]
    model["columns"]["shop"] = {"kind": "category"}
    model["monitors"]["segments"] = {"by": ["shop"], "mean_days_between_false_alarms": 1}
    found = World(type(made).model_validate(said))
    yield found
    found.close()


def test_people_are_told_which_shop_answers_otherwise_and_absorb_it_by_force_only(world: World) -> None:
    told = world.heard()
    world.send(1)
    assert world.incident() is None
    world.send(4, x=2.0)
    incident = world.incident()
    assert incident is not None
    assert incident.subjects.keys() == {f"conformal_category:{FR}"}
    assert f"{FR} (conformal_category): shop=fr: the share of " in told[0]
    assert FR in world.http.get(f"/incidents/{incident.id}").text
    assert f'detector="conformal_category",model="{MODEL}",subject="{FR}"' in world.http.get("/metrics").text
    assert incident.diagnosis is not None
    assert f"over all records; not proven for {FR}" in incident.diagnosis["because"]
    absorb = Absorb(world.wired.ledger, world.settings.models[0], world.settings.data_dir)
    with pytest.raises(Permanent, match="it is not proven to be benign"):
        absorb.absorb(None, **shifting.ADA, is_forced=False, now=world.now)
    absorb.absorb(None, **shifting.ADA, is_forced=True, now=world.now)
    world.send(1, x=2.0)
    assert world.incident() is None
    (verdict,) = (v for v in world.http.get(f"/v1/models/{MODEL}").json()["verdicts"] if v["subject"] == FR)
    assert (verdict["outcome"], verdict["detector"]) == ("ok", "conformal_category")
