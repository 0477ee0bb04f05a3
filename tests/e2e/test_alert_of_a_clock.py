"""RetunedClockSetBack on the real service under a real Prometheus: from the clock's being set back until the time is there again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.alerted import WATCHDOG, check_told
from tests.expressions import RULES
from tests.integration.conftest import running
from tests.observing import drive, needs_prometheus, prometheus

pytestmark = [needs_prometheus, pytest.mark.prove]

MODEL, AHEAD_S = "churn", 90.0
CLOCK = ("", "RetunedClockSetBack")
CONFIG = f"""
tick_s: 0.3
models:
  - name: {MODEL}
    task: tabular-classification
    labels: ["no", "yes"]
    columns: {{x: numeric}}
    monitors: {{pane_s: 2, watermark_s: 0.3}}
"""


def test_a_clock_set_back_is_told_until_its_time_is_there_again(tmp_path: Path) -> None:
    rng, clock, n = np.random.default_rng(7), warm.ahead(AHEAD_S), 0

    def post() -> None:
        nonlocal n
        at = datetime.fromtimestamp(time.time() + clock.value, UTC).isoformat()  # the senders' machine is the service's
        rows = [{"id": f"r{n + i}", "model": MODEL, "version": "1", "at": at, "inputs": {"x": float(rng.normal())}} for i in range(20)]
        service.http.post("/v1/records", json=[{**row, "output": {"label": "no"}} for row in rows]).raise_for_status()
        n += 20

    with (
        running(tmp_path, CONFIG, clock=clock) as service,
        prometheus(tmp_path / "prometheus", str(service.http.base_url), rules=[RULES]) as server,
    ):
        drive(post, lambda: server.values("retuned_newest_record_timestamp_seconds - time() > 60"), message="panes dated ahead")
        assert server.ever_fired() <= {WATCHDOG}, "a clock that is ahead is not known to be"
        clock.value = 0.0
        alert = drive(post, lambda: server.firing().get(CLOCK), seconds=20, message="the alert")
        check_told(alert)
        assert "set back by 1m" in alert["annotations"]["summary"]
        drive(post, lambda: CLOCK not in server.firing(), seconds=AHEAD_S, message="its end")
        assert server.values("retuned_clock_ahead_seconds")[0] <= 60
        assert server.ever_fired() == {WATCHDOG, CLOCK}
