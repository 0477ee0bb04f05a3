"""Writes what Grafana and Prometheus load, here and into the chart: `python -m dashboards.build`. One part, one function.

The files are committed: an operator takes them as they are, and a change of a panel is seen in review.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.fleet import fleet
from dashboards.model import model
from dashboards.portable import dashboard_text
from dashboards.rules import rules_text
from dashboards.service import service

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One committed file and its copy in the chart, which reads its own tree only."""

    file: str
    chart: str
    text: Callable[[], str]


PARTS = (
    Part(file="fleet.json", chart="dashboards/fleet.json", text=lambda: dashboard_text(fleet())),
    Part(file="model.json", chart="dashboards/model.json", text=lambda: dashboard_text(model())),
    Part(file="service.json", chart="dashboards/service.json", text=lambda: dashboard_text(service())),
    Part(file="rules.yaml", chart="rules.yaml", text=rules_text),
)


def files(root: Path = ROOT) -> dict[Path, str]:
    """Path -> content of every file that is built."""
    found: dict[Path, str] = {}
    for part in PARTS:
        found[root / "dashboards" / part.file] = found[root / "deploy" / "chart" / "files" / part.chart] = part.text()
    return found


def main(root: Path = ROOT) -> None:
    """Write them all; says which changed."""
    for path, text in files(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(root)}\n")


if __name__ == "__main__":
    main()
