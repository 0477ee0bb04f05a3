"""The committed dashboards: what their code builds, readable by the SDK again, and every panel speaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.asked import escaped, many
from dashboards.build import PARTS, files
from dashboards.fleet import fleet
from dashboards.model import model
from dashboards.portable import dashboard_text
from dashboards.service import service
from dashboards.units import written

if TYPE_CHECKING:
    from collections.abc import Callable

BOARDS = {"fleet": fleet, "model": model, "service": service}
OF_PROMETHEUS = {"titleFormat", "step", "useValueForTime"}
"""What an annotation by Prometheus has, and the SDK does not know."""


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(dashboard_text(BOARDS[name]()))["panels"] if panel["type"] != "row"]


def test_the_committed_files_are_what_the_code_builds() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"{path.name} is out of date: python -m dashboards.build"


def test_every_dashboard_is_built() -> None:
    assert {f"{name}.json" for name in BOARDS} <= {part.file for part in PARTS}


@pytest.mark.parametrize("build", BOARDS.values(), ids=BOARDS)
def test_the_sdk_reads_back_what_it_wrote(build: Callable[[], Dashboard]) -> None:
    """`from_json` validates nothing: what it does not know would be lost."""
    written = json.loads(json.dumps(build(), cls=JSONEncoder))
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    for annotation in written["annotations"].get("list", []):
        for name in OF_PROMETHEUS:
            del annotation[name]
    assert read == written


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_what_to_do_and_why_it_may_be_empty(name: str) -> None:
    for panel in panels(name):
        assert panel["title"]
        assert "**What to do:** " in panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
        units = [p for o in panel["fieldConfig"]["overrides"] for p in o["properties"] if p["id"] == "unit"]
        assert panel["fieldConfig"]["defaults"].get("unit") or units, panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_an_old_grafana_finds_only_forms_that_it_knows(name: str) -> None:
    board = json.loads(dashboard_text(BOARDS[name]()))
    assert board["schemaVersion"] == 27  # of Grafana 7.5
    assert {panel["type"] for panel in board["panels"]} <= {"row", "timeseries", "stat", "table", "bargauge"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for node in every_node(board):
        assert node.get("datasource", "$datasource") == "$datasource"
        for mapping in node.get("mappings", []):
            assert set(mapping) == {"id", "type", "value", "text"}
    for variable in board["templating"]["list"]:
        assert "id" not in variable  # equal ids are one variable there


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap_and_fit_the_width(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard_text(BOARDS[name]()))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def every_node(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node, *(found for value in node.values() for found in every_node(value))]
    return [found for value in node for found in every_node(value)] if isinstance(node, list) else []


def test_a_variable_with_several_values_is_matched_as_a_regular_expression() -> None:
    """Grafana escapes such values: an equality would find nothing that has a bracket or a dot."""
    for name in BOARDS:
        text = "\n".join(target["expr"] for panel in panels(name) for target in panel["targets"])
        for variable in many(name):
            assert f'="${variable}' not in text.replace("=~", "~"), variable


def test_a_value_is_escaped_as_grafana_does_it() -> None:
    assert escaped("f1[label=a.b]") == r"f1\\[label=a\\.b\\]"


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.864, "percentunit", None, "86.4 %"),
        (152.0, "s", None, "2.53 min"),
        (0.004, "s", None, "4 ms"),
        (3 * 2**30, "bytes", None, "3 GiB"),
        (1.3e-170, "sci", None, "1.3e-170"),
        (12.5, "reqps", None, "12.5/s"),
        (0.4567, "none", 2, "0.46"),
    ],
)
def test_figures_are_written_with_their_units(value: float, unit: str, decimals: int | None, text: str) -> None:
    assert written(value, unit, decimals) == text
