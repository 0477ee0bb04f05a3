"""What was made of the one knob: each group's share of a model's rate of false alarms, in a person's units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from daemon.decide.monitors.all import groups
from daemon.decide.monitors.rates import own_alpha, promised_days, spread
from detectors.types import EDetectorValue, EValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.decide.monitors.segments import Values
    from daemon.settings import ModelSettings
    from detectors.types import Detector

_DAY_S = 86_400.0
_NO_VALUES: Values = {}
_EPOCH = " An epoch lasts from one reference to the next: a promotion, a rollback, an absorbed shift."


Row = tuple[str, str, str, str, str]


def knob_table(rows: Iterable[Row]) -> Table:
    """The rows of `knob_rows`."""
    table = Table(
        "group", "detector", "how many", "alpha each", "false alarms of each", box=None, header_style="bold", padding=(0, 2, 0, 2)
    )
    for row in rows:
        table.add_row(*row)
    return table


def knob_rows(model: ModelSettings, *, has_bound: bool, values: Values = _NO_VALUES) -> tuple[Row, ...]:
    """A row for each group and kind of detector that alarms: group, detector, how many, alpha of each, its false alarms."""
    monitors = model.monitors
    rows: list[Row] = []
    found = groups(model, has_bound=has_bound, values=values)
    built = iter(spread(found, days=monitors.mean_days_between_false_alarms, pane_s=monitors.pane_s, alphas=monitors.alphas))
    for group in found:
        kinds: dict[tuple[str, float], list[Detector]] = {}
        for detector in (next(built) for _ in group.detectors):
            if detector.evidence in {EDetectorValue, EValue}:
                named = detector.name if getattr(detector, "within", None) is None else f"{detector.name} within segments"
                kinds.setdefault((named, alpha_of(detector)), []).append(detector)
        for (name, alpha), some in kinds.items():
            is_own = (group.days or group.alpha or own_alpha(some[0], monitors.alphas)) is not None
            own = " (set by hand)" if is_own else ""
            rows.append((group.name + own, name, str(len(some)), f"{alpha:.2g}", alarm_rate(some[0], monitors.pane_s)))
    return tuple(rows)


def promise(detectors: list[Detector], model: ModelSettings) -> str:
    """A sentence on all of them together."""
    wanted, held = model.monitors.mean_days_between_false_alarms, promised_days(detectors, pane_s=model.monitors.pane_s)
    once = sum(alpha_of(d) for d in detectors if d.evidence is EValue)
    if math.isinf(held):
        return f"Nothing alarms by a mean run length; P(ever a false alarm in an epoch): at most {once:.3g}.{_EPOCH}"
    short = ", not the model's own figure: what is set by hand says otherwise" if held < wanted * (1 - 1e-9) else ""
    counted = f", counting what can alarm but once an epoch (falsely with probability {once:.3g}).{_EPOCH}" if once else "."
    return f"All that alarms together: one false alarm in at least {held:.3g} days on average{short}{counted}"


def alarm_rate(detector: Detector, pane_s: float) -> str:
    """How often it is wrong, in a person's units."""
    alpha = alpha_of(detector)
    if detector.evidence is EValue:
        return f"ever in an epoch: at most {alpha:.3g}"
    return f"one in {pane_s / alpha / _DAY_S:.0f} days" if alpha else "as it says"


def alpha_of(detector: Detector) -> float:
    """0 for a plug-in's that has none."""
    return float(getattr(detector, "alpha", 0.0))
