"""What all three dashboards share: data source, refresh, links to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, DashboardCursorSync, DashboardLinkType, VariableRefresh, VariableSort

from dashboards.panels import SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TAG = "retuned"


class Marker(AnnotationQuery):
    """An annotation by a Prometheus query, with the fields that the SDK does not know."""

    at_value = False
    """True: the query gives the moment itself, in milliseconds; otherwise a mark is where it gives 1."""

    def to_json(self) -> dict[str, object]:
        """As Grafana's Prometheus data source reads it."""
        return {**super().to_json(), "titleFormat": self.name, "step": "30s", "useValueForTime": self.at_value}


class _Ready(Builder[AnnotationQuery]):
    """What is built already, where the SDK asks for a builder."""

    def __init__(self, marker: Marker) -> None:
        self._marker = marker

    def build(self) -> AnnotationQuery:
        """It is."""
        return self._marker


def marked(name: str, expr: str, colour: str, *, at_value: bool = False) -> Builder[AnnotationQuery]:
    """A mark on every panel where the query gives 1, or (`at_value`) at the moment that it gives."""
    marker = Marker(name=name, datasource=SOURCE, enable=True, icon_color=colour, expr=expr)
    marker.at_value = at_value
    return _Ready(marker)


def framed(uid: str, title: str, says: str, *, since: str) -> Dashboard:
    """An empty dashboard: times in the reader's zone, the two others one click away."""
    link = DashboardLink("retuned").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(as_dropdown=False)
    board = Dashboard(title).uid(uid).description(says).tags([TAG]).time(since, "now").refresh("30s").timezone("browser")
    board = board.tooltip(DashboardCursorSync.CROSSHAIR).editable().link(link.include_vars(include_vars=True).keep_time(keep_time=True))
    return board.with_variable(DatasourceVariable("datasource").type("prometheus").label("Prometheus"))


def by_label(name: str, label: str, query: str, *, is_many: bool = False) -> QueryVariable:
    """A variable whose values are those of a label; `is_many`: several at once, all at first (Grafana escapes them: match with =~)."""
    variable = QueryVariable(name).label(label).query(query).datasource(SOURCE).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable = variable.sort(VariableSort.ALPHABETICAL_ASC)
    return variable.multi(multi=True).include_all(include_all=True) if is_many else variable


def with_rows(board: Dashboard, *rows: tuple[str, Sequence[Any]]) -> Dashboard:
    """Panels under headings, from left to right."""
    for title, panels in rows:
        board = board.with_row(Row(title))
        for panel in panels:
            board = board.with_panel(panel)
    return board
