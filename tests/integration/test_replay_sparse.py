"""Where little is recorded a replay takes the ticks that change something, and says what it would have said with all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from daemon.check.read import load_settings
from daemon.replay import run
from daemon.replay.run import replay
from tests.integration.test_replay import START, recorded, retraining, write

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.settings import Settings

N, BURST_N = 550, 50
SHIFT, BACK = 100, 250


def sparse(folder: Path, *, is_harmful: bool) -> tuple[Path, Path, Path]:
    """A burst every 20 minutes: three have moved (and are wrong), the rest is well again. Labels end before records."""
    config, records, labels = recorded(folder, shift=SHIFT, n=N)
    (folder / "well").mkdir()
    _, *well = recorded(folder / "well", shift=N, n=N)
    answers = [json.loads(line)["output"]["label"] for line in records.read_text().splitlines()]
    for file, other in zip((records, labels), well, strict=True):
        rows, good = ([json.loads(line) for line in f.read_text().splitlines()] for f in (file, other))
        rows[BACK:] = good[BACK:]
        for i, row in enumerate(rows):
            row["at"] = datetime.fromtimestamp(START + i // BURST_N * 1200.0 + i % BURST_N, UTC).isoformat()
            if file is labels and not is_harmful and i < BACK:
                row["label"] = answers[i]
        write(file, rows[: -3 * BURST_N] if file is labels else rows)
    config.write_text(config.read_text().replace("pane_s: 60", "pane_s: 60\n      blind_after_s: 2500"))
    return config, records, labels


def played(folder: Path, settings: Settings, recording: list[Path]) -> tuple[dict[str, Any], int]:
    """(what it says, its ticks)."""
    ticks: list[float] = []
    return replay(settings, recording[0], recording[1], folder, progress=lambda now, _: ticks.append(now)), len(ticks)


@pytest.mark.parametrize("is_harmful", [False, True])
def test_ticks_that_change_nothing_are_left_out_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_harmful: bool
) -> None:
    config, *recording = sparse(tmp_path, is_harmful=is_harmful)
    settings = retraining(config) if is_harmful else load_settings(config)
    found, ticks_n = played(tmp_path / "some", settings, recording)
    monkeypatch.setattr(run._Player, "_wakes_at", lambda _, now: now)
    whole, all_n = played(tmp_path / "all", settings, recording)
    assert found == whole
    (incident,) = found["incidents"]
    assert (incident["harmful"], incident["closed_at"] is None, bool(found["triggers"])) == (is_harmful, is_harmful, is_harmful)
    assert any(d["decision"] == "alert" and "no label since" in d["because"] for d in found["decisions"])
    assert ticks_n < (all_n if is_harmful else all_n / 3)  # what stands before a retraining is counted in ticks
