"""A clock that was ahead and is set back: what comes afterwards is watched, and people are told. The wired service on a virtual clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.store import tables
from tests.shifting import MODEL, PANE_S, World, settings

if TYPE_CHECKING:
    from pathlib import Path

AHEAD_S = 3 * 3600.0


def _ahead_s(world: World) -> float:
    found = re.search(rf'retuned_clock_ahead_seconds{{model="{MODEL}"}} (\S+)', world.http.get("/metrics").text)
    assert found is not None
    return float(found[1])


def _told(world: World) -> list[str]:
    with world.wired.ledger.read() as tx:
        return [m.payload["because"] for m in tx.execute(select(tables.outbox)) if m.payload.get("what") == "blind.clock"]


def test_a_drift_after_a_clock_was_set_back_is_seen_at_once_and_the_clock_is_told_of(tmp_path: Path) -> None:
    world = World(settings(tmp_path))
    world.send(5)
    assert (_ahead_s(world), _told(world)) == (0.0, [])
    world.now += AHEAD_S
    world.send(5)
    assert (_ahead_s(world), _told(world)) == (0.0, [])
    world.now -= AHEAD_S
    world.send(1, x=3.0)
    assert _ahead_s(world) > AHEAD_S - 2 * PANE_S
    (told,) = _told(world)
    assert "was ahead by" in told
    newest = world.http.get(f"/v1/models/{MODEL}").json()["newest_record_at"]
    world.send(9, x=3.0)
    incident = world.incident()
    assert incident is not None
    assert any("input.x" in subject for subject in incident.subjects)
    assert world.http.get(f"/v1/models/{MODEL}").json()["newest_record_at"] > newest  # no pane of the other time is taken for the newest
    world.close()
    world.start()
    world.send(3, x=3.0)
    assert _told(world) == [told]
    with world.wired.ledger.read() as tx:
        stored = sum(tx.execute(select(tables.pane.c.n_seen)).scalars())
    assert stored == 23 * 150
    world.close()
