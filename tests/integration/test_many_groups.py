"""Of a protected column with more groups than alarms judge it is said beforehand, and as long as the epoch lasts."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from daemon.watched.table import show_watched
from daemon.watched.traffic import Traffic
from tests import shifting
from tests.shifting import MODEL, World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("groups_n", [50, 60])
def test_check_the_page_and_the_api_say_that_not_all_groups_are_judged(tmp_path: Path, groups_n: int) -> None:
    data = json.loads(shifting.settings(tmp_path).model_dump_json())
    model = data["models"][0]
    model["columns"]["zip"] = {"kind": "category", "protected": True}
    model["monitors"]["fairness"] = {"by": ["zip"]}
    rows = [json.loads(line) for line in (tmp_path / "reference.jsonl").read_text().splitlines()]
    zips = [None, *(f"z{i}" for i in range(groups_n))]
    lines = [json.dumps({**row, "segments": {"zip": zips[i % len(zips)]}}) for i, row in enumerate(rows)]
    (tmp_path / "reference.jsonl").write_text("\n".join(lines))
    settings = shifting.Settings.model_validate(data)
    why = "alarms judge the first 50 that come with labels, figures the 50 largest; post rare groups under one name."
    said = [f"Fairness by zip: {groups_n} groups in the reference; {why}"] * (groups_n > 50)

    shown = Console(width=300, file=io.StringIO(), record=True)
    show_watched(settings, tmp_path / "c.yaml", shown, traffic=Traffic(), as_json=True)
    mind = json.loads(shown.export_text())["models"][0]["mind"]
    assert [line for line in mind if line.startswith("Fairness by")] == said

    world = World(settings, rng=np.random.default_rng(3))
    try:
        world.send(1)
        assert world.http.get(f"/v1/models/{MODEL}").json()["reference_notes"] == said
        assert all(line in world.http.get(f"/models/{MODEL}").text for line in said)
    finally:
        world.close()
