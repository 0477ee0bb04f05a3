"""What is seen of numbers that become too high or too low."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from daemon.watched.seen.columns import each_hour
from daemon.watched.seen.day import Soon, nothing, seen
from daemon.watched.seen.labels import NONE_COUNTS, UNKNOWN
from detectors.sequential.growth import smallest_shift

if TYPE_CHECKING:
    from daemon.watched.seen.day import Day
    from detectors.sequential.conformal_residual import ConformalResidual, ResidualState


def of_residual(d: ConformalResidual, state: ResidualState, day: Day) -> Soon:
    """As if the bound rows' residuals were normal: ranks know no scale, these rows say what it is."""
    if day.labels_n is None:
        return nothing(d, UNKNOWN)
    if not state.bound_n:
        return nothing(d, NONE_COUNTS)
    mean, squares, size = (state.past[1:] / state.past[0]).tolist()
    spread = math.sqrt(max(0.0, squares - mean**2))

    def smallest(times: float) -> float:
        rows = [cells.reference_n for cells in state.ranks.hours]
        shift = smallest_shift(alpha=d.alpha, hours=each_hour(rows, times * day.even_n(d.most_weight)))
        return max(spread * shift, d.tolerance * float(size))

    return seen(
        d,
        smallest,
        lambda by: f"answers become too high or too low by {by:.3g} (their mean error is {size:.3g})",
        n=day.labels_n,
        unit="labels",
        never=f"the labelled bound rows are too few ({state.bound_n})",
    )
