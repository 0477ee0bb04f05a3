"""The cells that numbers fall into, for each hour of a rhythm: an urn (see `urn`) and the reference's own radius."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.rhythm import CELLS_N, Rhythm, rows_by_hour
from detectors.sequential.ranks import reference_radius
from detectors.sequential.urn import KNOTS_N, cells_of, fixed_ranks, knots_of, urn_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NumberCells:
    """Of one hour."""

    values: Floats
    """Distinct values of the knots."""
    keys: Floats
    gaps: Floats
    """Weight of each cell in the reference."""
    weights: Floats
    """The same with all that came since."""
    reference_n: int
    radius: float


_NONE = NumberCells(values=np.empty(0), keys=np.empty(0), gaps=np.empty(0), weights=np.empty(0), reference_n=0, radius=1.0)


def cells_by_hour(values: Floats, columns: Mapping[str, NDArray[Any]], rhythm: Rhythm, delta: float) -> tuple[NumberCells, ...]:
    """Of the reference's values, shape (n,); its `columns` say when. All radii hold together with probability 1 - delta."""
    found = [_NONE] * rhythm.hours_n
    rows_of = {hour: rows for hour, rows in rows_by_hour(columns, len(values), rhythm) if len(rows)}
    for hour, rows in rows_of.items():
        n, knots = len(rows), knots_of(values[rows], min(KNOTS_N, CELLS_N // rhythm.hours_n))
        radius = min(1.0, reference_radius(n, delta / len(rows_of)) + 1.0 / n)
        found[hour] = NumberCells(**knots._asdict(), weights=knots.gaps, reference_n=n, radius=radius)
    return tuple(found)


def ranked(cells: NumberCells, values: Floats, uniforms: Floats) -> tuple[NumberCells, Floats, Floats]:
    """(the cells after these values; their exact ranks; their ranks in the reference alone); uniforms of shape (2, n)."""
    for_rank, for_tie = uniforms
    at = cells_of(cells.values, cells.keys, values, for_tie)
    exact, weights = urn_ranks(cells.weights, at, for_rank)
    return replace(cells, weights=weights), exact, fixed_ranks(cells.gaps, at, for_rank)
