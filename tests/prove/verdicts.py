"""Trials against claims: for each detector and world one row, with the limit that a valid detector keeps to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors import registry
from detectors.types import EDetectorValue, EValue, Kind, PValue
from tests.prove.limits import most_crossings, room_of_runs
from tests.prove.trials import DELTA, EVER_ALPHA, LOOK_ALPHA, RUN_ALPHA, nominal
from tests.prove.worlds import World

Trials = list[dict[str, Any]]


@dataclass(frozen=True)
class Row:
    detector: str
    what: str
    claim: str
    figure: str
    limit: str
    n: int
    is_kept: bool
    """True where nothing is claimed."""


def alarms(name: str, where: World, found: Trials) -> Row:
    """What the detector promises about false alarms."""
    kind = registry.detector_class(name).evidence
    alarm = np.array([row["alarm"] for row in found])
    runs = np.array([row["panes"] for row in found], dtype=np.float64) if "panes" in found[0] else alarm
    n = len(found)
    if kind is EDetectorValue:
        least = (1.0 - DELTA) / RUN_ALPHA
        room = room_of_runs(runs, least)
        figure = f"{'>= ' if (alarm == 0).any() else ''}{runs.mean():.0f} panes, {alarm.mean():.0%} of streams alarm"
        return Row(name, where.name, f"mean run >= {least:.1f} panes", figure, f"{least - room:.1f}", n, bool(runs.mean() + room >= least))
    if kind in {EValue, PValue}:
        alpha = EVER_ALPHA if kind is EValue else LOOK_ALPHA
        most = most_crossings(n, alpha)
        claim = f"P(ever crosses) <= {alpha:g}" if kind is EValue else f"P(p <= {alpha:g}) <= {alpha:g}"
        return Row(name, where.name, claim, f"{alarm.mean():.4f}", f"{most / n:.4f}", n, bool(alarm.sum() <= most))
    return Row(name, where.name, "none: a limit set by hand", f"{alarm.mean():.4f} of quiet windows are called", "-", n, is_kept=True)


def coverage(name: str, what: str, found: Trials, truth: float, error: float) -> Row | None:
    """How often the interval holds the truth; None where there is none to hold (the figure is no distance from anything)."""
    told = [row for row in found if row["n"] > 0]
    if not told:
        return None
    low, high = (np.array([row[x] for row in told]) for x in ("low", "high"))
    missed = int(((low > truth + error) | (high < truth - error)).sum())
    level = nominal(name)
    most = most_crossings(len(told), 1.0 - level)
    width = float(np.mean(high - low))
    figure = f"{1.0 - missed / len(told):.4f}, width {width:.3g}"
    return Row(name, what, f"covers {level:g}", figure, f"{1.0 - most / len(told):.4f}", len(told), missed <= most)


def is_sequential(name: str) -> bool:
    return bool(registry.detector_class(name).kind is Kind.ALARMS)
