"""Every expression of every panel and rule on a real Prometheus that scrapes the real service while its traffic turns bad."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.expressions import BOARDS, Expression, of_panels, of_rules, replaced, unknown, variables
from tests.observing import Prometheus, drive, needs_prometheus, prometheus
from tests.scene import MODEL, Scene, scene

# MLflow and what it imports, not this project
pytestmark = [
    needs_prometheus,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

RIGHTLY_EMPTY = {
    "service: Ticks and failures: failure: {{reason}}": "nothing fails in the scene; the query hides reasons without a failure",
}
"""Owner of an expression without a sample in the scene -> why that is right. Reviewed by hand."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    scene: Scene
    prometheus: Prometheus
    started_at: float

    def is_empty(self, expression: Expression, text: str) -> bool:
        """Without a sample now (instant) or at any moment of the scene (range)."""
        if expression.is_instant:
            return not self.prometheus.query(text)
        return not self.prometheus.query_range(text, start=self.started_at, end=time.time())

    def choices(self, board: str) -> dict[str, str]:
        """Each variable with a value that Prometheus knows."""
        chosen = {"model": MODEL}
        for name, (selector, label) in variables(board).items():
            found = self.prometheus.query(f"group by ({label}) ({replaced(selector, chosen)})")
            values = sorted(series["metric"][label] for series in found)
            assert values, f"{board}: the variable {name} has no value"
            chosen.setdefault(name, values[0])
        return chosen


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    with scene(folder) as played, prometheus(folder / "prometheus", str(played.service.http.base_url)) as server:
        started_at = time.time()
        drive(played.post, lambda: played.n >= 600 and len(played.verdicts()) > 20, message="verdicts")
        played.is_bad = True
        drive(played.post, lambda: played.is_harmed() and played.is_collecting(), message="a harmful incident and its run")
        drive(played.post, lambda: server.values(f'retuned_runs{{model="{MODEL}",state="collecting"}} == 1'), message="the scrape of it")
        yield Observed(scene=played, prometheus=server, started_at=started_at)


def test_every_expression_parses_and_names_only_what_exists() -> None:
    chosen = {"model": MODEL, "subject": "risk", "column": "input.text", "group": "age_band"}
    texts = [(e.owner, replaced(e.text, chosen)) for e in everything()]
    texts += [(f"{board}: {name}", replaced(s, chosen)) for board in BOARDS for name, (s, _) in variables(board).items()]
    assert texts
    assert {owner: found for owner, text in texts if (found := unknown(text))} == {}


@pytest.mark.parametrize("board", [*BOARDS, "rules"])
def test_every_expression_gives_something_or_is_rightly_empty(observed: Observed, board: str) -> None:
    chosen = observed.choices(board) if board in BOARDS else {}
    found = list(of_panels(board) if board in BOARDS else of_rules())
    empty = {e.owner for e in found if observed.is_empty(e, replaced(e.text, chosen))}
    assert empty == {owner for owner in RIGHTLY_EMPTY if owner.startswith(f"{board}: ")}


def everything() -> list[Expression]:
    return [*(e for board in BOARDS for e in of_panels(board)), *of_rules()]
