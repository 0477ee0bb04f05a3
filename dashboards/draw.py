"""Pictures of the dashboards where no Grafana runs: every panel drawn from what its own expressions give on a live Prometheus.

python -m dashboards.draw --prometheus http://127.0.0.1:9090 --minutes 30 --set model=support --out docs
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from matplotlib.figure import Figure

from dashboards.asked import board, escaped, many, replaced, variables
from dashboards.drawn import draw_panel

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARDS = ("fleet", "model", "service")
_OF_GRAFANA = {"__rate_interval": "40s"}
"""As Grafana takes it for a scrape every 10 seconds."""
_COLUMNS = 24
_CELL_INCH = (0.68, 0.36)
_GAP = (0.07, 0.75)
"""Cells between panels, to the right and above (the title's)."""
_REPEATED_AT_MOST = 3


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A Prometheus, the time shown and what is chosen."""

    http: httpx.Client
    start: float
    end: float
    chosen: dict[str, str]
    many: set[str]
    """Of these, what Grafana escapes."""

    def ask(self, expr: str, chosen: dict[str, str], *, is_instant: bool) -> list[dict[str, Any]]:
        """Series with labels and points [(at, value)], oldest first."""
        chosen = {name: escaped(value) if name in self.many else value for name, value in {**self.chosen, **chosen}.items()}
        text = replaced(expr, {**_OF_GRAFANA, "__range": f"{round(self.end - self.start)}s", **chosen})
        if is_instant:
            found = self._get("query", query=text, time=self.end)
            return [
                {"metric": series["metric"], "points": [(float(at), float(value))]} for series in found for at, value in [series["value"]]
            ]
        step = max(1.0, (self.end - self.start) / 600)
        found = self._get("query_range", query=text, start=self.start, end=self.end, step=step)
        return [{"metric": series["metric"], "points": [(float(at), float(v)) for at, v in series["values"]]} for series in found]

    def values(self, selector: str, label: str) -> list[str]:
        """Of a variable."""
        asked = f"group by ({label}) (last_over_time({replaced(selector, self.chosen)}[{round(self.end - self.start)}s]))"
        return sorted(series["metric"][label] for series in self._get("query", query=asked, time=self.end))

    def _get(self, what: str, **asked: str | float) -> list[dict[str, Any]]:
        answer = self.http.get(f"/api/v1/{what}", params=asked).json()
        if answer["status"] != "success":
            raise ValueError(f"{asked['query']}: {answer['error']}")
        return list(answer["data"]["result"])


def draw(name: str, shown: Shown, out: Path) -> None:
    """One dashboard as a picture."""
    body, values = board(name), dict[str, list[str]]()
    for variable, (selector, label) in variables(name).items():
        values[variable] = found = shown.values(selector, label)
        if variable not in shown.chosen and found:
            shown.chosen[variable] = found[0]
    panels = [(panel, at, chosen) for panel in body["panels"] for at, chosen in _places(panel, values)]
    height = max(at["y"] + at["h"] for _, at, _ in panels) + 1
    figure = Figure(figsize=(_COLUMNS * _CELL_INCH[0], height * _CELL_INCH[1]), facecolor="#f4f5f5")
    figure.text(0.005, 1 - 0.7 / height, body["title"], fontsize=15, weight="bold", va="center")
    for panel, at, chosen in panels:
        left, top, right, bottom = at["x"] + _GAP[0], at["y"] + 1, at["x"] + at["w"] - _GAP[0], at["y"] + at["h"] + 0.92
        if panel["type"] == "row":
            figure.text(0.005, 1 - (top + 0.55) / height, panel["title"], fontsize=11.5, weight="bold", color="#444", va="center")
            continue
        box = (left / _COLUMNS, 1 - bottom / height, (right - left) / _COLUMNS, (bottom - top) / height)
        title = replaced(panel["title"], {**shown.chosen, **chosen})
        asked = [shown.ask(t["expr"], chosen, is_instant=bool(t.get("instant"))) for t in panel["targets"]]
        draw_panel(figure, box, panel, title=title, found=asked, span=(shown.start, shown.end))
    figure.savefig(out, dpi=80)


def _places(panel: dict[str, Any], values: dict[str, list[str]]) -> Iterator[tuple[dict[str, int], dict[str, str]]]:
    """Where a panel stands, once for each value when it is repeated."""
    at, variable = panel["gridPos"], panel.get("repeat")
    if variable is None:
        yield at, {}
        return
    found = values[variable][:_REPEATED_AT_MOST]
    width = _COLUMNS // max(1, len(found))
    for i, value in enumerate(found):
        yield {**at, "x": i * width, "w": width}, {variable: value}


def main() -> None:
    """The three of them."""
    parser = argparse.ArgumentParser(description="draws the dashboards from a live Prometheus")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--set", action="append", default=[], metavar="VARIABLE=VALUE")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args()
    chosen = dict(pair.split("=", 1) for pair in asked.set)
    end = time.time()
    with httpx.Client(base_url=asked.prometheus, timeout=30.0) as http:
        for name in BOARDS:
            shown = Shown(http=http, start=end - 60.0 * asked.minutes, end=end, chosen={**chosen}, many=many(name))
            draw(name, shown, asked.out / f"dashboard-{name}.png")


if __name__ == "__main__":
    main()
