"""One model: how good it is and to whom, what moved, how its labels come, which versions and incidents there were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, VariableHide

from dashboards.frame import by_label, framed, marked, with_rows
from dashboards.model_damage import damage
from dashboards.model_data import drift, labels
from dashboards.model_life import life, now
from dashboards.model_quality import fairness, performance
from dashboards.panels import BLUE, ORANGE, RED
from dashboards.queries import DISTANCE, GAP, OWN_UNIT, PERFORMANCE

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard


def model() -> Dashboard:
    """The whole dashboard."""
    says = "One model: performance, evidence, labels, fairness, versions and incidents."
    board = framed("retuned-model", "retuned: Model", says, since="now-24h")
    for variable in (
        by_label("model", "Model", "label_values(retuned_open_incidents, model)"),
        by_label("metric", "Metrics", f'label_values(retuned_figure_value{{model="$model", {PERFORMANCE}}}, subject)', is_many=True),
        by_label("error", "Errors", f'label_values(retuned_figure_value{{model="$model", {OWN_UNIT}}}, subject)', is_many=True),
        by_label("column", "Column", f'label_values(retuned_figure_value{{model="$model", {DISTANCE}}}, subject)'),
        by_label("protected", "Protected", 'label_values(retuned_group_rate_records{model="$model"}, column)'),
        by_label("gap", "Gaps", f'label_values(retuned_figure_value{{model="$model", {GAP}}}, subject)', is_many=True),
        by_label("url", "Service", "label_values(retuned_service_info, external_url)").hide(VariableHide.HIDE_VARIABLE),
    ):
        board = board.with_variable(variable)
    for marker in (
        marked("new champion", 'max(retuned_champion_since_timestamp_seconds{model="$model"}) * 1000', BLUE, at_value=True),
        marked("open incident", 'max(retuned_open_incidents{model="$model"}) == 1', RED),
        marked("training", 'sum(retuned_runs{model="$model", state=~"dataset|training|evaluating"}) == 1', ORANGE),
    ):
        board = board.annotation(marker)
    page = DashboardLink("$model on the service").type(DashboardLinkType.LINK).url("$url/models/$model").icon("external link")
    sections = (
        ("Now", now()),
        ("Performance", performance()),
        ("What moved", drift()),
        ("Data quality", damage()),
        ("Labels", labels()),
        ("Fairness", fairness()),
        ("Decisions", life()),
    )
    return with_rows(board.link(page), *sections).build()
