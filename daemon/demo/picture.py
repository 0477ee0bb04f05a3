"""timeline.png: F1 with intervals, evidence, incident and run on one time axis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from daemon.demo.figures import macro_f1
from daemon.demo.watcher import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from daemon.demo.traffic import Sent
    from daemon.demo.watcher import Entered

_BIN = 120
"""Records behind one F1 point: its interval is about +-.08 at F1 .75."""
_MOST = 2.5
"""Evidence above this multiple of its limit is drawn here."""
_SHOWN = ("collecting", "dataset", "training", "evaluating", "watching")
_COLOURS = {
    "incident": "#c0392b",
    "collecting": "#f39c12",
    "dataset": "#95a5a6",
    "training": "#8e44ad",
    "evaluating": "#2980b9",
    "watching": "#27ae60",
}


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Everything that is drawn; times in seconds since the epoch."""

    sent: Sequence[Sent]
    labels: Sequence[str]
    evidence: Mapping[tuple[str, str, int], Sequence[tuple[float, float]]]
    incidents: Sequence[Mapping[str, Any]]
    entered: Sequence[Entered]
    end: float
    title: str

    @property
    def start(self) -> float:
        """The first record."""
        return self.sent[0].at if self.sent else self.end


def draw(timeline: Timeline, path: Path) -> None:
    """Write the picture."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (0.5 s; only here)

    figure = Figure(figsize=(11, 8), layout="constrained")
    f1, evidence, bars = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.4))
    figure.suptitle(timeline.title)
    _draw_f1(f1, timeline)
    _draw_evidence(evidence, timeline)
    _draw_bars(bars, timeline)
    for axes in (f1, evidence, bars):
        _draw_moments(axes, timeline, is_named=axes is f1)
        axes.grid(alpha=0.25)
    f1.legend(loc="lower left", fontsize=8)
    bars.set_xlabel("seconds since the first record")
    bars.set_xlim(-2, timeline.end - timeline.start + 2)
    figure.savefig(path, dpi=110)


def f1_points(sent: Sequence[Sent], labels: Sequence[str]) -> list[tuple[float, float, float, float, str]]:
    """(time, F1, low, high, version) of each run of `_BIN` records of one phase and version, the last one of at least half of that."""
    points = []
    part: list[Sent] = []
    for one, after in pairwise([*sent, None]):
        part.append(one)  # type: ignore[arg-type]  # only the last of the pairs holds None
        is_end = after is None or (after.phase, after.version) != (part[0].phase, part[0].version)
        if len(part) < _BIN and not is_end:
            continue
        if len(part) >= _BIN / 2:
            figure = macro_f1(((s.label, s.predicted) for s in part), labels)
            if figure.value is not None and figure.low is not None and figure.high is not None:
                points.append((part[len(part) // 2].at, figure.value, figure.low, figure.high, part[0].version))
        part = []
    return points


def _draw_f1(axes: Any, timeline: Timeline) -> None:  # noqa: ANN401 (matplotlib ships no types)
    points = f1_points(timeline.sent, timeline.labels)
    for i, version in enumerate(dict.fromkeys(p[4] for p in points)):
        mine = [p for p in points if p[4] == version]
        x = [p[0] - timeline.start for p in mine]
        y = [p[1] for p in mine]
        spread = [[p[1] - p[2] for p in mine], [p[3] - p[1] for p in mine]]
        axes.errorbar(x, y, yerr=spread, fmt="o-", capsize=3, color=f"C{i}", label=f"version {version}")
    axes.set_ylabel(f"macro F1, 95 %\n(each {_BIN} records)")
    axes.set_ylim(0, 1.02)


def _draw_evidence(axes: Any, timeline: Timeline) -> None:  # noqa: ANN401 (matplotlib ships no types)
    colours: dict[tuple[str, str], str] = {}
    for (detector, subject, _), points in sorted(timeline.evidence.items()):
        if max(share for _, share in points) <= 0.1:  # noqa: PLR2004 (a flat line says nothing)
            continue
        name = (detector, subject)
        label = None if name in colours else f"{detector}: {subject}"
        colours.setdefault(name, f"C{len(colours) % 10}")
        x = [at - timeline.start for at, _ in points]
        axes.step(x, [min(max(share, 0.0), _MOST) for _, share in points], where="post", color=colours[name], label=label)
    axes.axhline(1.0, color="black", linestyle=":", linewidth=1)
    axes.set_ylabel("log evidence\n(1 = alarm)")
    axes.set_ylim(0, _MOST + 1.2)  # room for the legend above the lines
    if colours:
        axes.legend(loc="upper center", ncols=4, fontsize=7, framealpha=0.7)


def _draw_bars(axes: Any, timeline: Timeline) -> None:  # noqa: ANN401 (matplotlib ships no types)
    rows = [("incident", seconds(i["opened_at"]), _or(i["closed_at"], timeline.end)) for i in timeline.incidents]
    rows += [(one.state, one.at, after.at) for one, after in pairwise(timeline.entered)]
    if timeline.entered:
        rows.append((timeline.entered[-1].state, timeline.entered[-1].at, timeline.end))
    shown = [name for name in ("incident", *_SHOWN) if any(row[0] == name for row in rows)]
    for name, start, end in rows:
        if name in shown:
            axes.barh(shown.index(name), end - start, left=start - timeline.start, height=0.6, color=_COLOURS[name])
    axes.set_yticks(range(len(shown)), shown, fontsize=8)
    axes.invert_yaxis()


def _draw_moments(axes: Any, timeline: Timeline, *, is_named: bool) -> None:  # noqa: ANN401 (matplotlib ships no types)
    moments = [(s.at, "shift") for one, s in pairwise(timeline.sent) if one.phase == "before" and s.phase != "before"]
    moments += [(e.at, "promotion") for e in timeline.entered if e.state == "promoted"]
    for at, name in moments:
        axes.axvline(at - timeline.start, color="#555555", linestyle="--", linewidth=1)
        if is_named:
            axes.annotate(name, (at - timeline.start, axes.get_ylim()[1]), xytext=(3, -10), textcoords="offset points", fontsize=8)


def _or(at: float | str | None, otherwise: float) -> float:
    return otherwise if at is None else seconds(at)
