"""One small shop sends empty or other values, while the whole hardly moves: replays beside a quiet twin, and a service through its door."""

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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Change = Callable[[np.random.Generator, dict[str, Any]], object]
    """What becomes of the inputs of a French record."""

SHOPS = {"de": 0.64, "uk": 0.3, "fr": 0.06}
N, SHIFT = 1800, 900
ROWS = recorded.rows
CONFIG = recorded.CONFIG.replace("channel: category", "channel: category, shop: category").replace("pane_s: 60", "pane_s: 120")
CONFIG = CONFIG.replace("tick_s: 10", "tick_s: 60").replace("drift: {mean_days_between_false_alarms: 1, ", "drift: {")
CONFIG = "\n".join(line for line in CONFIG.splitlines() if "performance:" not in line)
SEGMENTS = "\n      performance: null\n      segments: {by: [shop], inputs: {mean_days_between_false_alarms: 1}}\n"


def _played(folder: Path, monkeypatch: pytest.MonkeyPatch, change: Change | None) -> dict[str, Any]:
    """What a replay says where 7 in 120 records of a pane are French ones, changed from `SHIFT` on."""

    def rows(seed: int, n: int, *, shift: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        rng = np.random.default_rng([seed, 7])
        for i, (record, label) in enumerate(ROWS(seed, n, shift=n)):
            inputs = {**record["inputs"], "shop": str(rng.choice([*SHOPS], p=[*SHOPS.values()]))}
            if change is not None and inputs["shop"] == "fr" and i >= shift:
                change(rng, inputs)
            yield {**record, "inputs": inputs}, label

    monkeypatch.setattr(recorded, "rows", rows)
    monkeypatch.setattr(recorded, "CONFIG", CONFIG + SEGMENTS)
    config, records, labels = recorded.recorded(folder, shift=SHIFT, n=N)
    return replay(recorded.retraining(config), records, labels, folder / "out")


def _loses_its_amount(rng: np.random.Generator, inputs: dict[str, Any]) -> None:
    if rng.random() < 0.6:
        inputs["amount"] = None


@pytest.mark.parametrize(
    ("change", "first", "shift"),
    [
        (_loses_its_amount, {"missing_rise:input.amount[shop=fr]", "conformal_numeric:input.amount[shop=fr]"}, "damage"),
        (lambda _, inputs: inputs.update(amount="n/a"), {"missing_rise:input.amount[shop=fr]"}, "damage"),
        (lambda _, inputs: inputs.update(amount=inputs["amount"] + 2.0), {"conformal_numeric:input.amount[shop=fr]"}, "unknown"),
        (lambda _, inputs: inputs.update(channel="kiosk"), {"conformal_category:input.channel[shop=fr]"}, "unknown"),
    ],
    ids=["empty", "unreadable", "higher", "new category"],
)
def test_a_replay_names_the_shop_and_the_column_that_moved_there_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, first: set[str], shift: str
) -> None:
    summary = _played(tmp_path, monkeypatch, change)
    (incident,) = summary["incidents"]
    assert min(a["record_index"] for a in summary["alarms"]) > SHIFT
    at = min(a["at"] for a in summary["alarms"])
    opening = {f"{a['detector']}:{a['subject']}" for a in summary["alarms"] if a["at"] == at}
    assert opening & first
    assert all(key.endswith("[shop=fr]") for key in opening)
    moved_from = datetime.fromtimestamp(recorded.START + SHIFT * recorded.EVERY_S, UTC)
    assert 0.0 < (datetime.fromisoformat(incident["opened_at"]) - moved_from).total_seconds() < 1200.0
    (subject,) = {key.split(":", 1)[1] for key in first}
    assert subject in incident["evidence"]["named"]
    assert not any("shop=de" in key or "shop=uk" in key for key in incident["subjects"])
    assert (incident["diagnosis"]["harm"], incident["diagnosis"]["shift"]) == ("unknown", shift)
    assert summary["triggers"] == []


def test_a_quiet_twin_of_many_panes_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = _played(tmp_path, monkeypatch, None)
    assert (summary["incidents"], summary["alarms"]) == ([], [])
    verdicts = {f"{v['detector']}:{v['subject']}": v for v in summary["verdicts"]}
    for name in ("missing_rise:input.amount", "conformal_numeric:input.amount", "conformal_category:input.channel"):
        assert [verdicts[f"{name}[shop={shop}]"]["outcome"] for shop in SHOPS] == ["ok", "ok", "ok"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A part x of the French shop's records comes without its number."""
    real = shifting.row

    def row(rng: np.random.Generator, name: str, at: float, *, x: float, p_wrong: float) -> shifting.Said:
        shop = str(rng.choice([*SHOPS], p=[*SHOPS.values()]))
        record, truth = real(rng, name, at, x=0.0, p_wrong=p_wrong)
        inputs = {**record["inputs"], "shop": shop}
        if shop == "fr" and rng.random() < x:
            inputs["x"] = None
        return {**record, "inputs": inputs}, truth

    monkeypatch.setitem(shifting.SAY, shifting.CLASSES, row)
    made = shifting.settings(tmp_path, has_quality=True, reference={"learn_n": 100}, n=1500)
    said = json.loads(made.model_dump_json())
    (model,) = said["models"]
    model["columns"]["shop"] = {"kind": "category"}
    model["monitors"]["segments"] = {"by": ["shop"], "least_n": 10, "inputs": {"mean_days_between_false_alarms": 1}}
    model["monitors"]["drift"]["mean_days_between_false_alarms"] = model["monitors"]["quality"]["mean_days_between_false_alarms"] = 90
    found = World(type(made).model_validate(said))
    yield found
    found.close()


def test_people_are_told_which_column_of_which_shop_comes_empty_and_absorb_it_by_force_only(world: World) -> None:
    told = world.heard()
    missing = "missing_rise:input.x[shop=fr]"
    world.send(1)
    assert world.incident() is None
    page = world.http.get(f"/models/{MODEL}").text
    assert "<summary>12 of inputs within segments, without an alarm</summary>" in page  # x and channel, moved and missing, of 3 shops
    assert page.index("12 of inputs within segments") < page.index("input.x[shop=fr]")  # below the fold, and nowhere else
    world.send(4, x=0.7)
    incident = world.incident()
    assert incident is not None
    assert missing in incident.subjects
    assert incident.subjects[missing]["kind"] == "quality"
    first_at = {key: s["first_at"] for key, s in incident.subjects.items()}
    assert all(key.endswith("[shop=fr]") for key, at in first_at.items() if at == incident.opened_at)  # the whole is seen later, if at all
    assert "input.x[shop=fr]" in told[0]
    assert "input.x[shop=fr]: " in incident.subjects[missing]["because"]
    assert "are missing or unreadable" in world.http.get(f"/incidents/{incident.id}").text
    assert f'detector="missing_rise",model="{MODEL}",subject="input.x[shop=fr]"' in world.http.get("/metrics").text
    shown = world.http.get(f"/v1/models/{MODEL}").json()["incidents"][0]
    assert "input.x[shop=fr]" in shown["evidence"]["named"]
    assert incident.diagnosis is not None
    assert (incident.diagnosis["harm"], incident.diagnosis["shift"]) == ("unknown", "damage")
    absorb = Absorb(world.wired.ledger, world.settings.models[0], world.settings.data_dir)
    with pytest.raises(Permanent, match="data come damaged"):
        absorb.absorb(None, **shifting.ADA, is_forced=False, now=world.now)
    absorb.absorb(None, **shifting.ADA, is_forced=True, now=world.now)
    world.send(1, x=0.7)
    assert world.incident() is None
    (verdict,) = (v for v in world.http.get(f"/v1/models/{MODEL}").json()["verdicts"] if f"{v['detector']}:{v['subject']}" == missing)
    assert verdict["outcome"] == "ok"


def test_a_restart_changes_nothing_of_what_is_said_within_segments(world: World) -> None:
    def said() -> list[tuple[Any, ...]]:
        verdicts = world.http.get(f"/v1/models/{MODEL}").json()["verdicts"]
        return [(v["detector"], v["subject"], v["value"], v["n"], v["evidence"]["log10_e"]) for v in verdicts if "input.x[" in v["subject"]]

    world.send(2, x=0.3)
    before = said()
    world.close()
    world.start()
    assert len(before) == 2 * 3
    assert said() == before
    world.send(1, x=0.3)
    assert all(new[3] > old[3] for new, old in zip(said(), before, strict=True))  # their counts go on where they were
