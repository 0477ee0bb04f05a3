"""Panels in matplotlib: lines with bands, figures, bars and tables, with the units, colours and texts of the dashboard's JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dashboards.units import written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PALETTE = ("#3274d9", "#e0752d", "#299c46", "#9a4dbf", "#c4162a", "#00a3a3", "#b7950b", "#6c757d", "#e377c2", "#1f5f3f")
_COLOURS = {"green": "#299c46", "orange": "#e0752d", "red": "#c4162a", "blue": "#3274d9"}
_COLUMN, _ROW_INCH, _PAD = 110, 0.27, 0.003
Box = tuple[float, float, float, float]
Found = list[list[dict[str, Any]]]


def draw_panel(
    figure: Any,  # noqa: ANN401 (matplotlib ships no types)
    box: Box,
    panel: Mapping[str, Any],
    *,
    title: str,
    found: Found,
    span: tuple[float, float],
) -> None:
    """One panel with its title into a box (left, bottom, width, height of the figure); `span`: the time shown."""
    left, bottom, width, height = box
    figure.add_artist(Rectangle((left, bottom), width, height, transform=figure.transFigure, fc="white", ec="#d8d9da", lw=0.8, zorder=-1))
    bar = 0.24 / figure.get_figheight()  # height of the title, in figure units
    figure.text(left + 0.004, bottom + height - bar * 0.62, title, fontsize=9, weight="bold", va="center")
    inner = (left + 0.004, bottom, width - 0.008, height - bar)
    if not any(found):
        empty = panel["fieldConfig"]["defaults"]["noValue"]
        figure.text(left + width / 2, bottom + (height - bar) / 2, empty, fontsize=8, color="#777", ha="center", va="center", wrap=True)
        return
    if panel["type"] == "timeseries":
        _lines(figure, inner, panel, found, span)
    else:
        {"stat": _number, "bargauge": _bars, "table": _table}[panel["type"]](figure, inner, panel, found)


def _lines(figure: Any, box: Box, panel: Mapping[str, Any], found: Found, span: tuple[float, float]) -> None:  # noqa: ANN401
    left, bottom, width, height = box
    foot = 0.55 / figure.get_figheight()
    side = 0.55 / figure.get_figwidth()
    axes = figure.add_axes((left + side, bottom + foot, width - side - 0.006, height - foot - 0.03 / figure.get_figheight() * 3))
    defaults, named = panel["fieldConfig"]["defaults"], _overrides(panel)
    drawn: dict[str, tuple[list[float], list[float]]] = {}
    palette = iter(_PALETTE * 3)
    for target, series in zip(panel["targets"], found, strict=True):
        for one in series:
            name = _legend(target["legendFormat"], one["metric"])
            drawn[name] = ([at for at, _ in one["points"]], [value for _, value in one["points"]])
            style = named.get(name, {})
            colour = _colour(style["color"]["fixedColor"]) if "color" in style else next(palette)
            line_width = 1.6 if len(series) == 1 else 1.2
            dashed = (0, (5, 3)) if "custom.lineStyle" in style else "-"
            hidden = style.get("custom.lineWidth") == 0
            label = None if hidden else name
            axes.plot(*drawn[name], color=colour, lw=0 if hidden else line_width, ls=dashed, label=label, drawstyle="steps-post")
    for name, style in named.items():
        low = style.get("custom.fillBelowTo")
        if low in drawn and name in drawn:
            lower = dict(zip(*drawn[low], strict=True))
            both = [(at, lower[at], high) for at, high in zip(*drawn[name], strict=True) if at in lower]
            at, lows, highs = zip(*both, strict=True)
            axes.fill_between(at, lows, highs, step="post", color=_colour(style["color"]["fixedColor"]), alpha=0.18, lw=0, label="interval")
    _dress(axes, defaults, span)


def _dress(axes: Any, defaults: Mapping[str, Any], span: tuple[float, float]) -> None:  # noqa: ANN401
    """Axes, grid and legend."""
    unit = defaults.get("unit", "none")
    low, high = axes.get_ylim()
    bottom = defaults.get("min", low)
    top = defaults["max"] * 1.04 if "max" in defaults else high
    axes.set_ylim(bottom, top if axes.dataLim.y1 > bottom else bottom + 1.0)
    axes.set_xlim(*span)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit, 0 if unit == "percentunit" else None)))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[3, 6]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"))
    axes.tick_params(labelsize=7, colors="#555", length=0)
    axes.grid(color="#e9e9ea", lw=0.7)
    for spine in axes.spines.values():
        spine.set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    many = 6
    shown = labels[:many] + ([f"and {len(labels) - many} more"] if len(labels) > many else [])
    if shown:
        axes.legend(
            handles[: len(shown)],
            shown,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.1),
            ncol=3,
            fontsize=6.5,
            frameon=False,
            handlelength=1.2,
        )


def _number(figure: Any, box: Box, panel: Mapping[str, Any], found: Found) -> None:  # noqa: ANN401
    defaults = panel["fieldConfig"]["defaults"]
    value = found[0][0]["points"][-1][1]
    text = _mapped(value, defaults.get("mappings", [])) or written(value, defaults.get("unit", "none"))
    left, bottom, width, height = box
    colour = _threshold(value, defaults["thresholds"])
    figure.text(left + width / 2, bottom + height * 0.48, text, fontsize=17, color=colour, ha="center", va="center", weight="bold")


def _bars(figure: Any, box: Box, panel: Mapping[str, Any], found: Found) -> None:  # noqa: ANN401
    defaults = panel["fieldConfig"]["defaults"]
    rows = sorted((_legend(panel["targets"][0]["legendFormat"], one["metric"]), one["points"][-1][1]) for one in found[0])
    left, bottom, width, height = box
    axes = figure.add_axes((left, bottom + 0.01, width, height - 0.015))
    top = defaults.get("max") or max(value for _, value in rows) or 1.0
    for i, (name, value) in enumerate(rows):
        axes.barh(i, top, color="#eef0f1", height=0.42)
        axes.barh(i, min(value, top), color=_threshold(value, defaults["thresholds"]), height=0.42)
        axes.text(0, i - 0.36, name, fontsize=7.5, va="center", color="#444")
        axes.text(top, i - 0.36, written(value, defaults.get("unit", "none")), fontsize=8, va="center", ha="right", weight="bold")
    axes.set_xlim(0, top)
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.set_axis_off()


def _table(figure: Any, box: Box, panel: Mapping[str, Any], found: Found) -> None:  # noqa: ANN401
    columns, rows = _merged(panel, found)
    named, defaults = _overrides(panel), panel["fieldConfig"]["defaults"]
    widths = [named.get(column, {}).get("custom.width", _COLUMN) for column in columns]
    starts = [sum(widths[:i]) / sum(widths) for i in range(len(widths) + 1)]
    left, bottom, width, height = box
    axes = figure.add_axes((left, bottom, width, height))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(rows) + 1, height * figure.get_figheight() / _ROW_INCH), 0)
    for x, right, column in zip(starts, starts[1:], columns, strict=False):
        axes.text(x + _PAD, 0.5, column, fontsize=7.5, va="center", color="#3274d9", weight="bold")
        style = {**defaults, **named.get(column, {})}
        for y, row in enumerate(rows, start=1):
            value = row.get(column)
            _cell(axes, (x, y + 0.5), right - x, value, style)
    for y in range(1, len(rows) + 1):
        axes.axhline(y, color="#eceded", lw=0.7)


def _cell(axes: Any, at: tuple[float, float], width: float, value: float | str | None, style: Mapping[str, Any]) -> None:  # noqa: ANN401
    if value is None:
        return
    x, y = at
    if isinstance(value, str):
        axes.text(x + _PAD, y, value, fontsize=8, va="center", color="#1f60c4" if "links" in style else "#222")
        return
    text = _mapped(value, style.get("mappings", [])) or written(value, style.get("unit", "none"), style.get("decimals"))
    mode = style.get("custom.displayMode")
    colour = _threshold(value, style["thresholds"]) if mode else "#222"
    if mode == "lcd-gauge":
        axes.barh(y, 0.55 * width, left=x + _PAD, height=0.4, color="#eef0f1")
        axes.barh(y, 0.55 * width * min(1.0, value), left=x + _PAD, height=0.4, color=colour)
        axes.text(x + _PAD + 0.6 * width, y, text, fontsize=8, va="center", color=colour)
    else:
        axes.text(x + _PAD, y, text, fontsize=8, va="center", color=colour, weight="bold" if mode else "normal")


def _merged(panel: Mapping[str, Any], found: Found) -> tuple[list[str], list[dict[str, Any]]]:
    """What the panel's transformations make of its frames: one row for rows that agree in the labels that both have."""
    organised = next(t["options"] for t in panel["transformations"] if t["id"] == "organize")
    names: dict[str, str] = organised["renameByName"]
    order = sorted((name for name in organised["indexByName"] if name != "Time"), key=lambda name: organised["indexByName"][name])
    rows: list[dict[str, Any]] = []
    for target, series in zip(panel["targets"], found, strict=True):
        for one in series:
            labels = one["metric"]
            mates = [row for row in rows if row.keys() & labels.keys() and all(row.get(k, v) == v for k, v in labels.items())]
            if not mates:
                mates = [{}]
                rows += mates
            for row in mates:
                row |= {**labels, f"Value #{target['refId']}": one["points"][-1][1]}
    shown = [{names.get(name, name): row[name] for name in order if name in row} for row in rows]
    return [names.get(name, name) for name in order], sorted(shown, key=lambda row: [str(row.get(c)) for c in (order[0],)])


def _overrides(panel: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> its properties."""
    found: dict[str, dict[str, Any]] = {}
    for override in panel["fieldConfig"]["overrides"]:
        found.setdefault(override["matcher"]["options"], {}).update({p["id"]: p["value"] for p in override["properties"]})
    return found


def _legend(form: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", value)
    return form


def _mapped(value: float, mappings: Sequence[Mapping[str, Any]]) -> str | None:
    return next((mapping["text"] for mapping in mappings if float(mapping["value"]) == value), None)


def _threshold(value: float, thresholds: Mapping[str, Any]) -> str:
    passed = [step["color"] for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return _colour(passed[-1])


def _colour(name: str) -> str:
    return _COLOURS.get(name, name)
