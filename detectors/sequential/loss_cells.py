"""Cells that a loss falls into, fixed before any is seen, so that ranks among them are exact with any past, none included (`urn`, own = 1).

All that a detector of ranks knows of losses is how many fell into each cell: ranks, and means without a bound that a wild value could move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detectors.sequential.loss import Loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Cells = NDArray[np.int64]

_FINE = 4
"""Cells to an octave: neighbours are a fifth apart, and half of that is how far a single loss may be off."""
_OCTAVES = (-24, 40)
"""From 6e-8 to 1e12 in the loss's unit; beyond, the last cell."""
_CUT = 0.99


def cell_values(loss: Loss) -> Floats:
    """The loss that each cell stands for, ascending, shape (cells,).

    An error: 0 and 1. 1 less the quality: hundredths. A loss in a unit of its own: 0 and four to an octave.
    """
    if loss is Loss.ERROR:
        return np.array([0.0, 1.0])
    if loss.is_bounded:
        return np.linspace(0.0, 1.0, 101)
    first, last = _OCTAVES
    return np.concatenate([[0.0], 2.0 ** (np.arange(_FINE * first, _FINE * last + 1) / _FINE)])


def cells_of(values: Floats, losses: Floats) -> Cells:
    """The cell of each loss, shape (n,): whose value is nearest."""
    return np.asarray(np.searchsorted((values[1:] + values[:-1]) / 2.0, losses, side="right"), dtype=np.int64)


def usual_mean(values: Floats, counts: Floats, *, is_bounded: bool) -> tuple[float, float]:
    """(mean of so many losses in each cell; the largest that counts as itself), both 0 without any.

    Without a bound the largest hundredth counts as the least of it: one wild value decides nothing.
    """
    n = float(counts.sum())
    if n == 0.0:
        return 0.0, 0.0
    most = float(values[-1] if is_bounded else values[np.searchsorted(np.cumsum(counts), _CUT * n, side="left")])
    return float(np.minimum(values, most) @ counts) / n, most


def risen(values: Floats, shares: Floats, rise: float, *, is_bounded: bool) -> Floats:
    """Shares of losses in each cell after a rise: in [0, 1] by so many points, as ones; otherwise all losses 1 + `rise` times as large."""
    if is_bounded:
        moved = min(1.0, rise / max(1e-9, 1.0 - float(shares @ values)))
        return np.append((1.0 - moved) * shares[:-1], (1.0 - moved) * shares[-1] + moved)
    cells = _FINE * np.log2(1.0 + rise)
    whole = int(cells)
    part, new = cells - whole, np.zeros(len(shares))
    new[0] = shares[0]
    for by, weight in ((whole, 1.0 - part), (whole + 1, part)):
        np.add.at(new, np.minimum(np.arange(1, len(shares)) + by, len(shares) - 1), weight * shares[1:])
    return new
