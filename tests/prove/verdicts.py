"""Trials against claims: for each detector and world one row, with the limit that a valid detector keeps to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import registry
from detectors.types import EDetectorValue, EValue, Kind, PValue
from tests.prove.limits import least_mean_run, most_crossings
from tests.prove.trials import DELTA, EVER_ALPHA, LOOK_ALPHA, RUN_ALPHA, nominal

Trials = list[dict[str, Any]]
NO_CLAIM = "none: a limit set by hand"
_LEAST_RUN = 1.0
"""No alarm comes before the first pane."""
_EARLY_N = 10
"""Panes within which an e-detector alarms with a probability of at most 10 alpha + delta: E[M at tau] <= E[tau] for tau = min(run, 10)."""


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
    can_fail: bool = True
    """Whether any figure of so many trials would be beyond the limit."""

    @property
    def holds(self) -> str:
        """As the page says it; "-" = nothing is claimed."""
        if self.claim == NO_CLAIM:
            return "-"
        return ("yes" if self.can_fail else "too few") if self.is_kept else "NO"


def alarms(name: str, what: str, found: Trials) -> Row:
    """What the detector promises about false alarms."""
    kind = registry.detector_class(name).evidence
    explains = registry.detector_class(name).kind is Kind.EXPLAINS  # of an unmoved world they promise what e-detectors do
    alarm = np.array([row["alarm"] for row in found])
    runs = np.array([row["panes"] for row in found], dtype=np.float64) if "panes" in found[0] else alarm
    n = len(found)
    if kind is EDetectorValue or explains:
        return _run_lengths(name, what, alarm, runs)
    if kind in {EValue, PValue}:
        alpha = EVER_ALPHA if kind is EValue else LOOK_ALPHA
        most = most_crossings(n, alpha)
        claim = f"P(ever crosses) <= {alpha:g}" if kind is EValue else f"P(p <= {alpha:g}) <= {alpha:g}"
        return Row(name, what, claim, f"{alarm.mean():.4f}", f"{most / n:.4f}", n, bool(alarm.sum() <= most), most < n)
    return Row(name, what, NO_CLAIM, f"{alarm.mean():.4f} of quiet windows are called", "-", n, is_kept=True)


def _run_lengths(name: str, what: str, alarm: NDArray[np.float64], runs: NDArray[np.float64]) -> Row:
    """The mean run, and how many alarm early; a run without an alarm counts with its length, so the mean is at least what is shown."""
    n, least, within = len(runs), (1.0 - DELTA) / RUN_ALPHA, _EARLY_N * RUN_ALPHA + DELTA
    early, most = int(((alarm > 0) & (runs <= _EARLY_N)).sum()), most_crossings(n, within)
    error = 1.645 * float(runs.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    figure = f"{'>= ' if (alarm == 0).any() else ''}{runs.mean():.0f} panes (95 %: from {runs.mean() - error:.0f}), {early / n:.0%} early"
    figure += f", {alarm.mean():.0%} of streams alarm"
    limit = least_mean_run(n, least)
    claim = f"mean run >= {least:.1f} panes, early <= {within:.0%}"
    is_kept, can_fail = bool(runs.mean() >= limit and early <= most), limit > _LEAST_RUN or most < n
    return Row(name, what, claim, figure, f"{limit:.1f}, {most / n:.0%}", n, is_kept, can_fail)


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
    return Row(name, what, f"covers {level:g}", figure, f"{1.0 - most / len(told):.4f}", len(told), missed <= most, most < len(told))


def every(found: Trials) -> Trials:
    """What all looks of a stream have in common, as one interval: the truth is ever missed where it is not in it."""
    return [{"n": row["n"], "low": row["every_low"], "high": row["every_high"]} for row in found]


def is_sequential(name: str) -> bool:
    return bool(registry.detector_class(name).kind in {Kind.ALARMS, Kind.EXPLAINS})
