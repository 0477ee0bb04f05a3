"""The pictures of docs (`python -m tests.pictures`): the scene of the dashboards' test played for some minutes, and drawn."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from dashboards.asked import many
from dashboards.draw import BOARDS, Shown, draw
from tests.observing import drive, prometheus
from tests.scene import MODEL, Scene, scene

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            scene(folder, pane_s=4.0, window_s=40.0, quiet_s=12.0, has_steady=True) as played,
            prometheus(folder / "prometheus", str(played.service.http.base_url)) as server,
        ):
            start = time.time()
            _play(played, 90.0)
            _play(played, 45.0, is_bad=True)
            drive(played.post, played.is_harmed, message="a harmful incident")
            played.judge("real")
            _play(played, 100.0)
            _play(played, 50.0, is_bad=True)
            end = time.time()
            for board in BOARDS:
                chosen = {"model": MODEL, "column": "input.amount"}
                shown = Shown(http=server.http, start=start, end=end, chosen=chosen, many=many(board))
                draw(board, shown, DOCS / f"dashboard-{board}.png")


def _play(played: Scene, seconds: float, *, is_bad: bool = False) -> None:
    """Traffic of one kind for a while."""
    played.is_bad, until = is_bad, time.monotonic() + seconds
    drive(played.post, lambda: time.monotonic() >= until, seconds=seconds + 60.0, message="the end of the traffic", every_s=1.0)


if __name__ == "__main__":
    main()
