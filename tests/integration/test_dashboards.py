"""Every expression of every panel and rule on a real Prometheus that scrapes the real service while its traffic turns bad."""

from __future__ import annotations

import itertools
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from matplotlib.image import imread

from daemon.show.metrics import BY_NAME
from dashboards.asked import HERE, escaped, many, named_in, replaced, variables
from tests.docs_blocks import Block
from tests.expressions import BOARDS, RULES, Expression, metrics_of, of_panels, of_rules, unknown
from tests.integration.conftest import wait_for
from tests.observing import Prometheus, drive, needs_prometheus, prometheus
from tests.scene import MODEL, Scene, scene

# MLflow and what it imports, not this project
pytestmark = [
    needs_prometheus,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

RIGHTLY_EMPTY = {
    "model: $error: ceiling": "what alarms in the scene is f1, which has a floor",
    "model: annotation: training": "the run of the scene waits for more labels than come",
    "service: Started and ended: ended: {{state}}": "no run ends in the scene",
    "service: Moves of champions and aliases: champion {{reason}}": "the champion is adopted at the first tick, before the first scrape",
    "service: Moves of champions and aliases: alias {{reason}}": "nobody moves an alias in the scene",
    "service: Moves of champions and aliases: reference {{reason}}": "nobody absorbs a shift in the scene",
    "service: Kept and removed: removed: {{reason}}": "nothing is old or large enough to go",
    "rules: RetunedTickLate": "it ticks",
    "rules: RetunedDiskLow": "the disk has room",
    "rules: RetunedModelInTrouble": "nobody damages the ledger",
    "rules: RetunedClockSetBack": "nobody sets the clock",
    "rules: RetunedDiskFilling": "nothing is said before three hours of disk space are known",
    "rules: RetunedNotificationFailing": "no target is set",
    "rules: RetunedPerformanceDegradedSlow": "what happens is abrupt: the fast one speaks",
    "rules: RetunedDataQuality": "the data of the scene are sound",
    "rules: RetunedTextsNotEmbedded": "no column of the scene has an encoder",
    "service: Texts that the service embeds: {{outcome}}": "as above",
    "service: Memory: encoder: {{model}} {{subject}}": "as above",
    "rules: RetunedBlind": "verdicts and labels come",
    "rules: RetunedNoTraffic": "records come",
    "rules: RetunedRunFailed": "no run ends in the scene",
    "rules: RetunedRunStuck": "the run of the scene waits for labels, and has a deadline of its own for that",
    "rules: RetunedRunAwaitingApproval": "the run of the scene waits for labels",
    "rules: RetunedPromoted": "nothing is promoted in the scene",
    "rules: RetunedPromotedNotServed": "nothing is promoted in the scene",
    "rules: RetunedRolledBack": "nothing is rolled back in the scene",
    "rules: RetunedAliasMoved": "nobody moves an alias in the scene",
    "rules: RetunedRegistryBehind": "the registry agrees with the ledger",
    "service: Ticks and failures: failure: {{reason}}": "nothing fails in the scene; the query hides reasons without a failure",
}
"""Owner of an expression without a sample in the scene -> why that is right. Reviewed by hand."""

BY_CHANCE = {
    "rules: RetunedCalibrationOff": "confidence is off when the answers are wrong; how soon that is proven is chance",
    "rules: RetunedServiceDown": "on a busy machine a scrape may take longer than its second, which is a moment of silence",
    "rules: RetunedDrift": "labels come a moment after their records: a drift is harmful at once or a pane later",
    **{
        f"model: Groups of $protected now: shrunk {part}": "only while fewer than min_n labelled pairs of a group count for a rate"
        for part in ("value", "low", "high")
    },
}
"""Owner of an expression that may have a sample in the scene or not -> why."""

USED_ELSEWHERE = {
    "retuned_encoder_state": "for models with an encoder: docs/embeddings.md has the queries",
    "retuned_encoder_losses_total": "as above",
    "retuned_encoder_cpu_seconds_total": "as above",
    "retuned_encoder_texts_per_second": "as above",
    "retuned_incident_harm_state": "a word on the incident's own page; for an own alert on harm proven by labels",
    "retuned_incident_shift_state": "a word on the incident's own page; for an own route by kind of shift",
    "retuned_incident_confirmed_state": "a sentence on the incident's own page and in messages; for a route of confirmed incidents only",
    "retuned_evidence_distance_ratio": "the figure's value once more (performance: 1 - value) for an own alert on a distance",
}
"""Exported metric that no panel and no rule reads -> whom it is for."""

SOME = {
    "model": MODEL,
    "models": MODEL,
    "metric": "accuracy",
    "column": "input.text",
    "protected": "age_band",
    "error": "log_loss",
    "gap": "equalized_odds_difference[by=age_band]",
}
"""A value for each variable, to parse with."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    scene: Scene
    prometheus: Prometheus
    started_at: float

    def is_empty(self, text: str, choices: dict[str, list[str]]) -> bool:
        """Without a sample at any moment of the scene, whatever is chosen."""
        end = time.time()
        start = end - math.ceil(end - self.started_at)  # the last step is now
        names = [name for name in choices if name in named_in(text)]
        texts = [replaced(text, dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*(choices[name] for name in names))]
        return not any(self.prometheus.query_range(asked, start=start, end=end) for asked in texts)

    def choices(self, board: str) -> dict[str, list[str]]:
        """Each variable with the values that Prometheus knows, for the model of the scene."""
        chosen = {"model": [MODEL], "models": [MODEL]}
        for name, (selector, label) in variables(board).items():
            asked = replaced(selector, {"model": MODEL})
            found = self.prometheus.query(f"group by ({label}) (last_over_time({asked}[5m]))")
            values = sorted(series["metric"][label] for series in found)
            assert values, f"{board}: the variable {name} has no value"
            chosen.setdefault(name, values)
        return {name: [escaped(v) if name in many(board) else v for v in values] for name, values in chosen.items()}


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    with scene(folder) as played, prometheus(folder / "prometheus", str(played.service.http.base_url), rules=[RULES]) as server:
        wait_for(lambda: server.query("count_over_time(retuned_service_info[1m]) > 2"), seconds=90, message="the first scrapes")
        started_at = time.time()
        drive(played.post, lambda: played.n >= 600 and len(played.verdicts()) > 20, message="verdicts")
        played.is_bad = True
        drive(played.post, lambda: played.is_harmed() and played.is_collecting(), message="a harmful incident and its run")
        seen = f'retuned_runs{{model="{MODEL}", state="collecting"}} == 1'
        drive(played.post, lambda: server.query(seen), message="the scrape of it")
        for alert in ("RetunedHarmfulDrift", "RetunedPerformanceDegradedFast", "RetunedFairnessBreach"):
            drive(played.post, lambda name=alert: server.query(f'ALERTS{{alertname="{name}"}}'), message=alert)  # type: ignore[misc]
        played.judge("real")
        wait_for(lambda: server.query("retuned_alarm_precision_ratio"), seconds=90, message="the alarms' precision")
        yield Observed(scene=played, prometheus=server, started_at=started_at)


def test_every_expression_parses_and_names_only_what_exists() -> None:
    texts = [(e.owner, replaced(e.text, SOME)) for e in everything()]
    texts += [(f"{board}: {name}", replaced(s, SOME)) for board in BOARDS for name, (s, _) in variables(board).items()]
    assert texts
    assert {owner: found for owner, text in texts if (found := unknown(text))} == {}


@pytest.mark.parametrize("board", [*BOARDS, "rules"])
def test_every_expression_gives_something_or_is_rightly_empty(observed: Observed, board: str) -> None:
    choices = observed.choices(board) if board in BOARDS else {}
    found = list(of_panels(board) if board in BOARDS else of_rules())
    empty = {e.owner for e in found if e.owner not in BY_CHANCE and observed.is_empty(e.text, choices)}
    assert empty == {owner for owner in RIGHTLY_EMPTY if owner.startswith(f"{board}: ")}


def test_every_exported_metric_is_on_a_panel_or_in_a_rule_or_listed() -> None:
    used = {name for e in everything() for name in metrics_of(replaced(e.text, SOME))}
    used |= {name for board in BOARDS for s, _ in variables(board).values() for name in metrics_of(replaced(s, SOME))}
    assert set(BY_NAME) - used == set(USED_ELSEWHERE)


def test_the_guide_to_prometheus_and_grafana(observed: Observed, doc_blocks: list[Block], tmp_path: Path) -> None:
    scraping, asking, drawing = doc_blocks
    here = {"127.0.0.1:9090": urlsplit(observed.prometheus.url).netloc}
    scraping.run(cwd=tmp_path)
    asking.run(cwd=tmp_path, replace=here)
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(HERE.parent)}
    drawing.run(cwd=tmp_path, env=env, replace={**here, "--minutes 30": "--minutes 1", "support-sentiment": MODEL}, timeout=280)
    for board in BOARDS:
        height, width, _ = imread(tmp_path / f"dashboard-{board}.png").shape
        assert (width, height > 500) == (1305, True)


def everything() -> list[Expression]:
    return [*(e for board in BOARDS for e in of_panels(board)), *of_rules()]
