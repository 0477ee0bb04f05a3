"""One shop's model gets worse while the whole hardly moves: through the service's door, its ledger, its pages, and a replay."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from daemon.replay.run import replay
from tests import shifting
from tests.integration import test_replay as recorded
from tests.shifting import MODEL, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import Settings

SHOPS = {"de": 0.6, "uk": 0.28, "fr": 0.12}
N, SHIFT = 900, 300
ROWS = recorded.rows
CONFIG = recorded.CONFIG.replace("channel: category", "channel: category, shop: category").replace("pane_s: 60", "pane_s: 120")


def _rows(seed: int, n: int, *, shift: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """As recorded, with shops; from `shift` on the model is wrong about half of the French ones, and about as many others as before."""
    rng = np.random.default_rng([seed, 7])
    for i, (record, label) in enumerate(ROWS(seed, n, shift=n)):
        shop, said = str(rng.choice([*SHOPS], p=[*SHOPS.values()])), record["output"]["label"]
        is_turned = rng.random() < 0.5 and shop == "fr" and i >= shift
        truth = {"yes": "no", "no": "yes"}[said] if is_turned else label["label"]
        yield {**record, "inputs": {**record["inputs"], "shop": shop}}, {**label, "label": truth}


def test_the_alarm_names_the_segment_before_the_whole_is_seen_to_move_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "rows", _rows)
    monkeypatch.setattr(recorded, "CONFIG", CONFIG + "      segments: {by: [shop], mean_days_between_false_alarms: 1}\n")
    config, records, labels = recorded.recorded(tmp_path, shift=SHIFT, n=N)
    summary = replay(recorded.retraining(config), records, labels, tmp_path / "out")
    (incident,) = summary["incidents"]
    subjects = {s["subject"]: s for s in incident["subjects"].values()}
    assert subjects.keys() == {"risk[shop=fr]", "accuracy[shop=fr]"}
    assert {s["kind"] for s in subjects.values()} == {"risk", "performance"}
    assert subjects["risk[shop=fr]"]["because"].startswith("shop=fr: loss 0.")
    bad_from = datetime.fromtimestamp(recorded.START + SHIFT * recorded.EVERY_S, UTC)
    assert 300.0 < (datetime.fromisoformat(incident["opened_at"]) - bad_from).total_seconds() < 1500.0
    assert (incident["evidence"]["is_confirmed"], {*incident["evidence"]["named"]}) == (True, {*subjects})
    assert incident["diagnosis"]["shift"] == "unknown"  # that no input moved is no sign: within a small segment few moves are seen
    assert summary["triggers"] == []


@pytest.fixture
def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[World]]:
    """Two services with the same settings and traffic."""
    real = shifting.row

    def row(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> shifting.Said:
        shop = str(rng.choice([*SHOPS], p=[*SHOPS.values()]))
        record, truth = real(rng, name, at, x=x, p_wrong=p_wrong if shop == "fr" else 0.03)
        return {**record, "inputs": {**record["inputs"], "shop": shop}}, truth

    monkeypatch.setitem(shifting.SAY, shifting.CLASSES, row)
    worlds = [World(_settings(tmp_path / name)) for name in ("straight", "restarted")]
    for world in worlds:
        world.now = worlds[0].now
    yield worlds
    for world in worlds:
        world.close()


def _settings(folder: Path) -> Settings:
    folder.mkdir()
    made = shifting.settings(folder)
    said = json.loads(made.model_dump_json())
    (model,) = said["models"]
    model["columns"]["shop"] = {"kind": "category"}
    model["monitors"]["segments"] = {"by": ["shop"], "mean_days_between_false_alarms": 1}
    return type(made).model_validate(said)


def _said(world: World) -> list[tuple[Any, ...]]:
    """Evidence and figures of the segments."""
    verdicts = world.http.get(f"/v1/models/{MODEL}").json()["verdicts"]
    return [(v["detector"], v["subject"], v["value"], v["n"], v["evidence"]["log10_e"]) for v in verdicts if "shop=" in v["subject"]]


def test_a_restart_changes_nothing_and_people_are_told_which_segment_and_how_sure_that_is(shops: list[World]) -> None:
    straight, restarted = shops
    told = straight.heard()
    for p_wrong in (0.03, 0.6):
        for world in shops:
            world.send(3, p_wrong=p_wrong)
        restarted.close()
        restarted.start()
    assert len(_said(straight)) == 3 * 7  # loss by its bound and by its past, accuracy, label, score, x, channel
    assert _said(straight) == _said(restarted)
    first, second = (world.incident() for world in shops)
    assert first is not None
    assert second is not None
    assert (first.evidence, first.subjects.keys()) == (second.evidence, second.subjects.keys())
    assert first.subjects.keys() == {"risk_change:risk[shop=fr]", "risk_rise:risk[shop=fr]", "accuracy_floor:accuracy[shop=fr]"}
    shown = straight.http.get(f"/v1/models/{MODEL}").json()["incidents"][0]["evidence"]
    assert (shown["is_confirmed"], set(shown["named"])) == (True, {"risk[shop=fr]", "accuracy[shop=fr]"})
    page = straight.http.get(f"/incidents/{first.id}").text
    assert "Confirmed: something has changed since the epoch began" in page
    assert "Surely changed (at most one in ten named falsely): " in page
    assert f'retuned_incident_confirmed_state{{model="{MODEL}"}} 1.0' in straight.http.get("/metrics").text
    assert "Confirmed: something has changed" in told[0]
    assert "risk[shop=fr] (risk_change): shop=fr: loss 0." in told[0]
    assert "Surely changed (at most one in ten named falsely): " in told[0]
