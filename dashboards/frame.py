"""What all three dashboards share: data source, refresh, links to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, VariableRefresh, VariableSort

from dashboards.panels import SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TAG = "retuned"


def framed(uid: str, title: str, says: str, *, since: str) -> Dashboard:
    """An empty dashboard: times in the reader's zone, the two others one click away."""
    link = DashboardLink("retuned").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(as_dropdown=False)
    board = Dashboard(title).uid(uid).description(says).tags([TAG]).time(since, "now").refresh("30s").timezone("browser")
    board = board.tooltip(DashboardCursorSync.CROSSHAIR).editable().link(link.include_vars(include_vars=True).keep_time(keep_time=True))
    return board.with_variable(DatasourceVariable("datasource").type("prometheus").label("Prometheus"))


def by_label(name: str, label: str, query: str, *, is_many: bool = False) -> QueryVariable:
    """A variable whose values are those of a label; `is_many`: several at once, all at first."""
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
