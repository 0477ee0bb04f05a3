"""The smallest rise of a loss that exact ranks among those known expect to see in so many labels (see `risk_rise`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.growth import is_reached_on_the_way, least_seen
from detectors.sequential.rise_bets import RISE_WEIGHTS, log_rise_bets

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_RANKS_N = 2000


def smallest_rise_of_ranks(
    *, alpha: float, shares: Floats, risen: Callable[[float], Floats], least: float, most: float, known_n: float, n: float
) -> float:
    """From `least` to `most`; infinity where none is seen. `shares` of known losses in each cell (cells,); `risen`: what a rise makes them.

    Among known_n losses and those of the n that came before: a change becomes its own past.
    """
    needed = -np.log(RISE_WEIGHTS * alpha)
    bets = log_rise_bets((np.arange(_RANKS_N) + 0.5) / _RANKS_N)
    powers = np.stack([bets, bets**2])  # (2, ranks, bets)
    below = np.concatenate([np.zeros((2, 1, bets.shape[1])), np.cumsum(powers, axis=1) / _RANKS_N], axis=1)

    def is_seen(rise: float) -> bool:
        new = risen(rise)

        def gains(reference_n: float, past: float) -> tuple[Floats, Floats]:
            urn = (reference_n * shares + past * new) / (reference_n + past)
            edges = np.minimum(1.0, np.concatenate([[0.0], np.cumsum(urn)]))
            at = np.minimum((edges * _RANKS_N).astype(np.int64), _RANKS_N - 1)
            areas = np.diff(below[:, at] + (edges - at / _RANKS_N)[:, None] * powers[:, at], axis=1)  # (2, cells, bets)
            density = np.divide(new, urn, out=np.zeros_like(urn), where=urn > 0.0)
            mean, square = density @ areas
            return mean, np.maximum(0.0, square - mean**2)

        return is_reached_on_the_way(gains, ((known_n, n),), needed)

    return least if is_seen(least) else least_seen(is_seen, least, most)
