"""What is seen of a loss that rises above what it was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.watched.seen.day import Soon, nothing, seen
from daemon.watched.seen.labels import UNKNOWN
from detectors.sequential.growth_of_rise import smallest_rise_of_ranks
from detectors.sequential.loss_cells import cell_values, risen, usual_mean

if TYPE_CHECKING:
    from daemon.watched.seen.day import Day
    from detectors.sequential.rise_state import RiseState
    from detectors.types import Reference

_MOST_TIMES = 30.0
"""As large as numbers' losses may become."""


def of_rise(d: Any, state: RiseState, reference: Reference, day: Day) -> Soon:  # noqa: ANN401 (a rise of the loss)
    """Above the loss of the bound rows and of one quiet day's labels: errors more, judgements that turn wholly bad, or larger numbers."""
    share = 1.0 if d.within is None else d.within.share(reference.columns)
    if day.labels_n is None:
        return nothing(d, UNKNOWN)
    values, is_bounded = cell_values(d.loss), d.loss.is_bounded
    if not share or not (state.bound_n or is_bounded):
        return nothing(d, "what the loss is now no labelled bound row says (reference.bound)")
    shares = state.before / state.bound_n if state.bound_n else np.where((values == 0.0) | (values == 1.0), 0.5, 0.0)
    now, _ = usual_mean(values, shares, is_bounded=is_bounded)

    def smallest(times: float) -> float:
        n = times * share * day.even_n(d.most_weight)
        rise = smallest_rise_of_ranks(
            alpha=d.alpha,
            shares=shares,
            risen=lambda by: risen(values, shares, by, is_bounded=is_bounded),
            least=d.tolerance,
            most=1.0 - now if is_bounded else _MOST_TIMES,
            known_n=state.bound_n + n,
            n=n,
        )
        return rise if math.isinf(rise) else now + rise if is_bounded else now * (1.0 + rise)

    known = (
        f"known: {state.bound_n:,} bound rows and a quiet day's labels"
        if state.bound_n
        else f"{now:.3g} is supposed; known: a quiet day's labels"
    )
    return seen(
        d, smallest, lambda to: f"it rises from {now:.3g} to {to:.3g} ({known})", n=day.labels_n, unit="labels", never="no rise of it"
    )
