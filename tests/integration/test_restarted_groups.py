"""What a look leaves in memory is there again at the first tick after a restart, without a new verdict."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from daemon.settings import Settings
from daemon.store import verdicts
from tests.shifting import MODEL, World, settings

if TYPE_CHECKING:
    from pathlib import Path


def _rates(world: World) -> dict[str, str]:
    return dict(re.findall(r"(retuned_group_rate\w+{.*?}) (\S+)", world.http.get("/metrics").text))


def test_rates_of_groups_are_back_at_the_first_tick_after_a_restart_also_without_a_record(tmp_path: Path) -> None:
    data = settings(tmp_path).model_dump()
    data["models"][0]["columns"]["channel"]["protected"] = True
    data["models"][0]["monitors"]["fairness"] = {"by": ["channel"], "min_n": 20}
    world = World(Settings.model_validate(data))
    world.send(6)
    before = _rates(world)
    assert any('group="web"' in name and 'rate="true_positive"' in name for name in before)
    with world.wired.ledger.read() as tx:
        at = verdicts.newest_at(tx, MODEL)
    world.close()
    world.start()
    world.wired.pipeline.tick(world.now + 7.0)
    assert _rates(world) == before
    with world.wired.ledger.read() as tx:
        assert verdicts.newest_at(tx, MODEL) == at  # a look that nobody's records asked for would hide that none come
    world.close()
