"""The few kinds of panel. Each says what it shows and what to do, has a unit, and speaks when it is empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.builders import dashboard

SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
GREEN, ORANGE, RED, BLUE, GREY = "green", "orange", "red", "blue", "#8e8e8e"
Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, bargauge.Panel, table.Panel)
Steps = tuple[tuple[float | None, str], ...]
"""(from this value on, colour); the first one's value is None."""
_REFS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Says:
    """The words and the place of a panel."""

    title: str
    shows: str
    do: str
    empty: str
    """Shown instead of data: why there may be none."""
    unit: str
    width: int = 12
    height: int = 8

    @property
    def description(self) -> str:
        """What Grafana shows behind the panel's (i)."""
        return f"{self.shows}\n\n**What to do:** {self.do}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One expression and the name of what it gives."""

    expr: str
    name: str
    """Legend, or the column of a table."""
    unit: str | None = None
    """Of a table's column."""
    texts: tuple[tuple[str, str], ...] = ()
    """Value -> text of a table's column."""
    colours: Steps = ()
    labels: tuple[tuple[str, str], ...] = ()
    """Labels that are columns of a table themselves, before the value: (label, heading)."""
    is_bar: bool = False
    """A table's cell drawn as a bar from 0 to 1."""
    decimals: int | None = None
    width: int | None = None


def series(
    says: Says,
    *queries: Query,
    colours: Mapping[str, str] | None = None,
    limits: Sequence[str] = (),
    top: float | None = None,
    bottom: float | None = None,
) -> timeseries.Panel:
    """Lines over time. `limits`: names drawn as dashed lines; `colours`: name -> colour, for what means the same everywhere."""
    panel = _placed(timeseries.Panel(), says).unit(says.unit).no_value(says.empty).line_width(1).fill_opacity(6)
    panel = panel.line_interpolation(LineInterpolation.STEP_AFTER).show_points(VisibilityMode.NEVER)
    panel = panel.legend(_legend()).tooltip(common.VizTooltipOptions())
    panel = panel if top is None else panel.max(top)
    panel = panel if bottom is None else panel.min(bottom)
    for ref, query in zip(_REFS, queries, strict=False):
        panel = panel.with_target(_range(query).ref_id(ref))
    for name, colour in (colours or {}).items():
        panel = panel.override_by_name(name, [_fixed(colour)])
    for name in limits:
        panel = panel.override_by_name(name, [_fixed(RED), *_DASHED])
    return panel


def band(
    says: Says,
    *,
    value: Query,
    low: str,
    high: str,
    limits: Sequence[Query] = (),
    beside: Sequence[Query] = (),
    top: float | None = 1.0,
) -> timeseries.Panel:
    """A figure as a line inside its interval, the limits that it must keep, and lines that may be compared with it."""
    queries = (value, Query(expr=low, name="low"), Query(expr=high, name="high"), *limits, *beside)
    colours = {value.name: BLUE} | {query.name: GREY for query in beside}
    panel = series(says, *queries, colours=colours, limits=[limit.name for limit in limits], top=top, bottom=0.0)
    for query in beside:
        panel = panel.override_by_name(query.name, [DynamicConfigValue(id_val="custom.fillOpacity", value=0)])
    edge = [_fixed(BLUE), DynamicConfigValue(id_val="custom.lineWidth", value=0), DynamicConfigValue(id_val="custom.fillOpacity", value=0)]
    panel = panel.override_by_name("low", edge)
    shade = [DynamicConfigValue(id_val="custom.fillBelowTo", value="low"), DynamicConfigValue(id_val="custom.fillOpacity", value=18)]
    return panel.override_by_name("high", [*edge[:2], *shade]).override_by_name(
        value.name, [DynamicConfigValue(id_val="custom.lineWidth", value=2), DynamicConfigValue(id_val="custom.fillOpacity", value=0)]
    )


def number(says: Says, query: Query, *, colours: Steps = ((None, BLUE),), has_line: bool = False) -> stat.Panel:
    """One figure now."""
    panel = (
        _placed(stat.Panel(), says).unit(says.unit).no_value(says.empty).thresholds(_steps(colours)).with_target(_range(query).ref_id("A"))
    )
    panel = panel.graph_mode(BigValueGraphMode.AREA if has_line else BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False))
    return panel.mappings(_texts(query.texts)) if query.texts else panel


def bars(says: Says, query: Query, *, colours: Steps, top: float | None = None) -> bargauge.Panel:
    """One bar a series, as it is now; the colour says how it stands to the limit."""
    panel = _placed(bargauge.Panel(), says).unit(says.unit).no_value(says.empty).thresholds(_steps(colours)).min(0.0)
    panel = (
        panel.with_target(_range(query).instant().ref_id("A"))
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
    )
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False))
    return panel if top is None else panel.max(top)


def rows(says: Says, key: str, *queries: Query, link: str | None = None) -> table.Panel:
    """A row for each value of the label `key`, a column for each query."""
    panel = _placed(table.Panel(), says).no_value(says.empty).show_header(show_header=True)
    panel = panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    renamed: dict[str, str] = {}
    for ref, query in zip(_REFS, queries, strict=False):
        renamed |= {**dict(query.labels), f"Value #{ref}": query.name}
    order = {name: i for i, name in enumerate(["Time", key, *renamed])}
    options = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renamed}
    panel = panel.with_transformation(DataTransformerConfig(id_val="organize", options=options))
    for ref, query in zip(_REFS, queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).instant().format(PromQueryFormat.TABLE)
        panel = panel.with_target(target.ref_id(ref).legend_format(query.name))
        panel = panel.override_by_name(query.name, _cell(query, says.unit))
    if link:
        panel = panel.override_by_name(key, [DynamicConfigValue(id_val="links", value=[{"title": "Open ${__value.text}", "url": link}])])
    return panel


_DASHED = [
    DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
    DynamicConfigValue(id_val="custom.fillOpacity", value=0),
]


def _placed(panel: Panel, says: Says) -> Panel:
    return panel.title(says.title).description(says.description).datasource(SOURCE).span(says.width).height(says.height)


def _range(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.name)


def _legend() -> common.VizLegendOptions:
    return common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(show_legend=True)


def _fixed(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value=FieldColor().mode(FieldColorModeId.FIXED).fixed_color(colour).build())


def _steps(colours: Steps) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=value, color=colour) for value, colour in colours]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _texts(texts: Sequence[tuple[str, str]]) -> list[ValueMapping]:
    return [ValueMap(options={value: ValueMappingResult(text=text)}) for value, text in texts]


def _cell(query: Query, unit: str) -> list[DynamicConfigValue]:
    found = [DynamicConfigValue(id_val="unit", value=query.unit or unit)]
    if query.decimals is not None:
        found.append(DynamicConfigValue(id_val="decimals", value=query.decimals))
    if query.width is not None:
        found.append(DynamicConfigValue(id_val="custom.width", value=query.width))
    if query.texts:
        found.append(DynamicConfigValue(id_val="mappings", value=_texts(query.texts)))
    if query.colours:
        found.append(DynamicConfigValue(id_val="thresholds", value=_steps(query.colours).build()))
        found.append(DynamicConfigValue(id_val="custom.displayMode", value="lcd-gauge" if query.is_bar else "color-text"))
    if query.is_bar:
        found += [DynamicConfigValue(id_val="min", value=0), DynamicConfigValue(id_val="max", value=1)]
    return found
