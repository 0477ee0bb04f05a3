"""What the distances of numeric columns share: bins at the reference's quantiles, and a sketch's counts in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.moments import Moments
from detectors.sketches.quantiles import Quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from detectors.types import Reference


@dataclass(frozen=True, kw_only=True, slots=True)
class BinState:
    """The reference's bins."""

    edges: NDArray[np.float64]
    """Upper edges of all bins but the last, shape (k - 1,), strictly increasing."""
    counts: NDArray[np.float64]
    """Records in each bin, then the missing ones, shape (k + 1,); not whole when the sketch rounds."""
    error: float
    """Largest error of a rank, from the sketch."""


def bin_state(reference: Reference, column: str, bins: int) -> BinState:
    """Bins at the reference's quantiles; without the column there is one bin, and it is empty."""
    sketches = reference.sketches.get(column, {})
    quantiles = sketches.get("quantiles", Quantiles())
    edges = np.unique(quantiles.quantiles(np.linspace(0.0, 1.0, bins + 1)[1:-1].tolist())) if quantiles.n else np.empty(0)
    counts, error = binned(sketches, edges)
    return BinState(edges=edges, counts=counts, error=error)


def binned(sketches: Mapping[str, Any], edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Records at or below the first edge, up to the second, …, above the last, and missing, shape (len(edges) + 2,); the rank error."""
    quantiles, moments = sketches.get("quantiles", Quantiles()), sketches.get("moments", Moments())
    values, shares = quantiles.points()
    at = np.concatenate([[0.0], shares])[np.searchsorted(values, edges, side="right")] * quantiles.n
    counts: NDArray[np.float64] = np.concatenate([np.diff(at, prepend=0.0, append=float(quantiles.n)), [float(moments.missing)]])
    return counts, quantiles.rank_error
