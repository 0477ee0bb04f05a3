"""How a demo ends: summary.json, timeline.png and the last words."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from daemon.demo import picture, story
from daemon.demo.figures import macro_f1
from daemon.demo.summary import Seen, summary

if TYPE_CHECKING:
    from typing import Any

    from daemon.demo.figures import Figure
    from daemon.demo.stage import First, Live, Stage


def close(stage: Stage, first: First, live: Live) -> dict[str, Any]:
    """Write both files, say what happened; returns the summary."""
    driver, watcher, out = live.driver, live.watcher, stage.out
    made = summary(
        Seen(
            sent=driver.sent,
            labels=first.labels,
            alarms=watcher.alarms(),
            run=watcher.run,
            entered=watcher.entered(),
            champion_before=first.version,
            champion_after=watcher.champion,
            first_epoch=watcher.first_epoch,
            old_domain=_old_domain(stage, first, live),
            has_shift=stage.options.shift != "none",
            seconds={**stage.seconds, "total": sum(stage.seconds.values())},
        )
    )
    (out / "summary.json").write_text(json.dumps(made, indent=2) + "\n")
    names = stage.options.names
    picture.draw(
        picture.Timeline(
            sent=driver.sent,
            labels=first.labels,
            evidence=watcher.evidence,
            incidents=watcher.incidents(),
            entered=watcher.entered(),
            end=time.time(),
            title=f"{names[0]} → {names[1]}: {made['outcome']}" if stage.options.shift != "none" else f"{names[0]}, no shift",
        ),
        out / "timeline.png",
    )
    _say(stage, live, made)
    return made


def _say(stage: Stage, live: Live, made: dict[str, Any]) -> None:
    shown = _relative(stage.out)
    lines = story.told(made, stage.options.names, shown, live.config.port)
    if stage.options.keep:
        pids = ", ".join(f"{name} {child.pid}" for name, child in stage.children.started.items())
        lines.append(f"still running, end them with kill: {pids}")
    for line in lines:
        stage.view.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _old_domain(stage: Stage, first: First, live: Live) -> dict[str, Figure]:
    """F1 of champion and candidate on the sealed rows, from the run's own evaluations; without a run from the first training's answers."""
    found = {"champion": stage.out / "data" / "old_domain.parquet"}
    run = live.watcher.run
    if run is not None:
        for path in sorted(live.config.data_dir.rglob(f"{run['id']}/**/old_domain.*.parquet")):
            found[path.stem.split(".")[1]] = path
    rows = {who: pq.read_table(path, columns=["label", "predicted"]).to_pylist() for who, path in found.items()}
    return {who: macro_f1(((row["label"], row["predicted"]) for row in part), first.labels) for who, part in rows.items()}


def _relative(out: Path) -> Path:
    """As a newcomer types it."""
    return out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out
