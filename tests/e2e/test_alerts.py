"""Each fault that an alert about a model is for, made on the real service under a real Prometheus with the committed rules.

One model a fault and one without, all in one service. The alert of each fires, says what it has to, and ends; no other ever does.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.alerted import FIGURE, WATCHDOG, check_told
from tests.expressions import RULES
from tests.integration.conftest import Service, running, wait_for
from tests.observing import Prometheus, drive, needs_prometheus, prometheus

pytestmark = [needs_prometheus, pytest.mark.prove]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a record and its label are drawn from."""

    x: float = 0.0
    """Mean of the number."""
    missing: float = 0.0
    """Share of the records that lack it."""
    right: Mapping[str, float] = field(default_factory=lambda: {"young": 0.9, "old": 0.9})
    """Group -> share of its answers that are right."""
    confidence: float | None = None
    """Mean of the answers' scores; None = they have none."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model whose traffic turns bad."""

    bad: Traffic
    good: Traffic = Traffic()
    alerts: frozenset[str]
    before: frozenset[str] = frozenset()
    """What may fire until the labels have come."""
    drift: str = "all"
    """Columns that drift is looked for in."""
    more: str = ""
    """Settings of the monitors."""


def alike(share: float) -> dict[str, float]:
    return {"young": share, "old": share}


SURE = Traffic(confidence=0.9)
CASES = {
    "quiet": Case(good=SURE, bad=SURE, alerts=frozenset()),
    "drifted": Case(good=SURE, bad=replace(SURE, x=1.0), alerts=frozenset({"RetunedDrift"})),
    "harmed": Case(
        bad=Traffic(x=1.0, right=alike(0.6)),
        alerts=frozenset({"RetunedHarmfulDrift", "RetunedPerformanceDegradedFast"}),
        before=frozenset({"RetunedDrift"}),
    ),
    "degraded": Case(bad=Traffic(right=alike(0.6)), alerts=frozenset({"RetunedPerformanceDegradedFast"})),
    "worn": Case(  # what looks at recent stretches may never be wrong: otherwise it is sooner than the sum of the whole epoch
        bad=Traffic(right=alike(0.7)),
        alerts=frozenset({"RetunedPerformanceDegradedSlow"}),
        more="alphas: {risk_rise: 1.0e-100, risk_change: 1.0e-100, accuracy_floor: 1.0e-100}",
    ),
    "unfair": Case(bad=Traffic(right={"young": 0.97, "old": 0.62}), alerts=frozenset({"RetunedFairnessBreach"})),
    "boastful": Case(
        good=Traffic(right=alike(0.8), confidence=0.8),
        bad=Traffic(right=alike(0.8), confidence=0.98),
        alerts=frozenset({"RetunedCalibrationOff"}),
        drift="[x, channel]",
    ),
    "damaged": Case(  # missing values rank below all others: the column has drifted, too
        good=SURE, bad=replace(SURE, missing=0.3), alerts=frozenset({"RetunedDataQuality", "RetunedDrift"})
    ),
}
WANTED = {name: {(name, alert) for alert in case.alerts} for name, case in CASES.items()}

MODEL = """
  - name: {name}
    task: tabular-classification
    labels: ["no", "yes"]
    columns: {{x: numeric, channel: category, age: {{kind: category, protected: true}}}}
    reference: {{kind: file, path: {folder}/{name}.jsonl, bound: {folder}/{name}.jsonl}}
    monitors:
      mean_days_between_false_alarms: 1
      drift: {{together: false, columns: {drift}}}
      performance: {{metric: accuracy}}
      fairness: {{by: [age]}}
      pane_s: 4
      watermark_s: 0.3
      window_s: 120
      quiet_s: 30
      {more}
"""


@dataclass
class World:
    """The running service, the traffic of its models, and what Prometheus says of them."""

    service: Service
    prometheus: Prometheus
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    bad: set[str] = field(default_factory=set)
    """Models whose traffic is bad now."""
    n: int = 0
    later: list[list[dict[str, Any]]] = field(default_factory=list)
    """Labels that have not come yet, by batch."""
    told: set[tuple[str, str]] = field(default_factory=set)
    """Alerts that have told their figures."""

    def post(self, n: int = 15) -> None:
        """A batch of each model, and the labels of the batch before the last."""
        drawn = {name: case.bad if name in self.bad else case.good for name, case in CASES.items()}
        said = [row(self.rng, f"r{self.n + i}", name, traffic) for name, traffic in drawn.items() for i in range(n)]
        self.n += n
        self.later.append([{**{k: record[k] for k in ("id", "model", "at")}, "label": label, "source": "agent"} for record, label in said])
        self.service.http.post("/v1/records", json=[record for record, _ in said]).raise_for_status()
        if len(self.later) > 2:
            self.service.http.post("/v1/labels", json=self.later.pop(0)).raise_for_status()

    def read(self) -> set[tuple[str, str]]:
        """What fires; each alert is read until it has told its figures. The fault of a model whose alerts all fire is over."""
        firing = self.prometheus.firing()
        for key in firing.keys() - self.told - {WATCHDOG}:
            check_told(firing[key])
            self.told |= {key} if FIGURE.search(firing[key]["annotations"]["description"]) else set()
        self.bad -= {name for name, wanted in WANTED.items() if wanted <= firing.keys()}
        return set(firing)

    def close(self) -> None:
        """A person closes what drifted: the return to normal is a change as well, and may keep its incident open (docs/critiques.md)."""
        for name in (name for name, case in CASES.items() if "RetunedDrift" in case.alerts | case.before):
            for incident in self.service.model(name)["incidents"]:
                if incident["closed_at"] is None:
                    self.service.http.post(f"/v1/incidents/{incident['id']}/close", json={"by": "ada", "judged": "real"}).raise_for_status()

    def activation(self, key: tuple[str, str]) -> str:
        return str(self.prometheus.firing()[key]["activeAt"])


def row(rng: np.random.Generator, name: str, model: str, drawn: Traffic) -> tuple[dict[str, Any], str]:
    """(record, its true label)."""
    truth, group = str(rng.choice(["no", "yes"])), str(rng.choice(["young", "old"], p=[0.8, 0.2]))
    other = {"no": "yes", "yes": "no"}
    answer = truth if rng.random() < drawn.right[group] else other[truth]
    mean = 2.0 * (drawn.confidence or 0.9) - 1.0  # on the way from 1/2 to 1
    score = float(0.5 + 0.5 * rng.beta(20 * mean, 20 * (1.0 - mean)))
    x = {} if rng.random() < drawn.missing else {"x": float(rng.normal(drawn.x))}
    record = {
        "id": f"{model}-{name}",
        "model": model,
        "version": "1",
        "at": datetime.now(UTC).isoformat(),
        "inputs": {"channel": str(rng.choice(["web", "app"])), **x},
        "segments": {"age": group},
        "output": {"label": answer, **({"scores": {answer: score, other[answer]: 1.0 - score}} if drawn.confidence is not None else {})},
    }
    return record, truth


@contextmanager
def world(folder: Path) -> Iterator[World]:
    rng = np.random.default_rng(1)
    for name, case in CASES.items():
        rows = [row(rng, f"ref{i}", name, case.good) for i in range(4000)]
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({**record, "label": truth}) for record, truth in rows))
    models = [MODEL.format(name=name, folder=folder, drift=case.drift, more=case.more) for name, case in CASES.items()]
    with (
        running(folder, "tick_s: 1\nmodels:" + "".join(models)) as service,
        prometheus(folder / "prometheus", str(service.http.base_url), rules=[RULES], interval="2s") as server,
    ):
        service.http.timeout = httpx.Timeout(60.0)  # it is stopped for a while
        yield World(service, server)


def test_each_fault_fires_its_alert_and_no_other_which_says_what_it_has_to_and_ends(tmp_path: Path) -> None:
    go_on = partial(drive, every_s=0.5, seconds=600.0)
    with world(tmp_path) as w:
        go_on(w.post, lambda: w.n >= 600, message="good traffic")
        assert w.prometheus.ever_fired() == {WATCHDOG}
        w.bad = {name for name, case in CASES.items() if case.alerts}
        harm = ("harmed", "RetunedHarmfulDrift")
        go_on(w.post, lambda: harm in w.read(), message="the first page")
        begun = w.activation(harm)
        w.service.process.send_signal(signal.SIGSTOP)  # as a restart, or a machine that is too busy to answer
        wait_for(lambda: w.prometheus.query("absent(last_over_time(retuned_service_info[6s]))"), message="scrapes that fail")
        assert w.activation(harm) == begun, "nobody is told that it is over and begins anew"
        w.service.process.send_signal(signal.SIGCONT)
        go_on(w.post, lambda: w.read() and not w.bad, message="an alert of each fault")
        go_on(w.post, lambda: w.close() or w.read() == {WATCHDOG}, message="the end of all alerts")
        wanted, early = set().union(*WANTED.values()), {(name, alert) for name, case in CASES.items() for alert in case.before}
        assert wanted <= w.prometheus.ever_fired() <= wanted | early | {WATCHDOG}
        assert wanted <= w.told
