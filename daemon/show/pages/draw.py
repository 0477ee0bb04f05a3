"""Where things stand in a line's small drawings: an interval, and evidence beside its limit. Numbers alone; `parts.html` draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.show.views import EvidenceView

WIDTH = 120
LIMIT_AT = 90
"""Where the limit stands: there is room beyond it."""
_TICK = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The span from low to high, and the left edge of the tick of the value."""

    x: float
    width: float
    tick: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """How much of what it takes to alarm is there."""

    width: float
    is_over: bool


def interval(low: float, value: float, high: float) -> Interval:
    """On a scale of 0 to 1 where they fit it, of -1 to 1 for differences, else on one of their own."""
    start, end = next((s for s in ((0.0, 1.0), (-1.0, 1.0)) if s[0] <= low and high <= s[1]), _scale(low, high))
    x0, x, x1 = (WIDTH * (at - start) / (end - start) for at in (low, value, high))
    tick = min(max(x - _TICK / 2.0, 0.0), WIDTH - _TICK)
    return Interval(x=round(x0, 1), width=round(max(1.0, x1 - x0), 1), tick=round(tick, 1))


def bar(held: EvidenceView) -> Bar:
    """Full to the limit at `LIMIT_AT`."""
    share = evidence_share(held)
    return Bar(width=round(min(WIDTH, LIMIT_AT * share), 1), is_over=share >= 1.0)


def evidence_share(held: EvidenceView) -> float:
    """0 = nothing speaks for a change, 1 = the limit: in powers of ten for e- and p-values, plainly for distances."""
    limit = held.limit or 0.0
    if held.log10_e is not None:
        share = held.log10_e / limit if limit > 0.0 else 0.0
    elif held.p is not None:
        share = math.log10(max(held.p, 1e-300)) / math.log10(limit) if 0.0 < limit < 1.0 else 0.0
    else:
        share = (held.distance or 0.0) / limit if limit > 0.0 else 0.0
    return max(0.0, share)


def _scale(low: float, high: float) -> tuple[float, float]:
    room = 0.1 * (high - low) or 1.0
    return low - room, high + room
