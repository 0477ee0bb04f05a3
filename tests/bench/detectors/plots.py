"""One picture: median delays of our best rule and of the rivals, scenario by scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.bench.detectors.page import Row

_MISSED = 100.0
"""Where a change that more than half miss is drawn."""


def draw(tables: Mapping[str, list[Row]], path: Path) -> None:
    """Each maker's best rule a mark, ours large, on a logarithmic axis of panes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    makers = {"retuned": ("o", "#d1495b"), "Evidently": ("s", "#30638e"), "NannyML": ("^", "#edae49"), "river": ("D", "#66a182")}
    makers |= {"frouros": ("v", "#8d96a3"), "TrustyAI": ("P", "#5f4b8b")}
    figure, axes = plt.subplots(figsize=(9.0, 0.34 * len(tables) + 1.2), layout="constrained")
    for y, table in enumerate(tables.values()):
        for at, (maker, (marker, colour)) in enumerate(reversed(makers.items())):
            medians = [row.matched.median for row in table if row.name.startswith(maker) and row.matched.run_length >= 90.0]
            if not medians:
                continue
            best = min(medians)
            where = (best if np.isfinite(best) else _MISSED, y + 0.06 * (at - 2.5))
            size = 9 if maker == "retuned" else 6
            face = colour if np.isfinite(best) else "none"
            axes.plot(*where, marker, color=colour, markerfacecolor=face, markersize=size, label=maker if y == 0 else None)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, _MISSED], ["1", "2", "5", "10", "20", "50", "missed"])
    axes.set_yticks(range(len(tables)), list(tables))
    axes.set_ylim(len(tables) - 0.3, -0.7)
    axes.grid(axis="both", alpha=0.3)
    axes.set_xlabel("median panes to the alarm, at one false alarm in 100 panes")
    handles = {maker: axes.plot([], [], marker, color=colour, label=maker)[0] for maker, (marker, colour) in makers.items()}
    axes.legend(handles.values(), handles, loc="upper center", bbox_to_anchor=(0.45, 1.0 + 1.2 / len(tables)), ncols=6, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
