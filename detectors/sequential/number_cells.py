"""The cells that numbers fall into, for each hour of a rhythm: an urn (see `urn`) and the reference's own radius.

An hour with hardly a reference row gets cells by the rows of all hours, and an empty urn: its ranks are among its own records since the
epoch began. That is as exact (cells that were fixed beforehand), and sees what changes from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.of_reference import check_filled, of_reference, same_in_reference
from detectors.rhythm import CELLS_N, LEAST_ROWS, Rhythm, rows_by_hour
from detectors.sequential.ranks import reference_radius
from detectors.sequential.ties import most_gain
from detectors.sequential.urn import KNOTS_N, cells_of, fixed_ranks, knots_of, urn_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NumberCells:
    """Of one hour. What the reference alone gives is not written: see `of_reference`."""

    values: Floats = of_reference()
    """Distinct values of the knots."""
    keys: Floats = of_reference()
    gaps: Floats = of_reference()
    """Weight of each cell in the reference."""
    weights: Floats
    """The same with all that came since."""
    reference_n: int = same_in_reference()
    radius: float
    own: float = 0.0
    """1 = the urn began empty: a record counts among its own (see `urn`), and there is no reference to bet against."""
    aside: NDArray[np.int64] | None = None
    """Of the weights what may be of a change (see `way_back`)."""

    @property
    def known(self) -> Floats:
        """Of the weights the reference's."""
        return self.gaps if self.reference_n else np.zeros(len(self.weights))

    def __post_init__(self) -> None:
        check_filled(self.gaps, len(self.weights))


_NONE = NumberCells(values=np.empty(0), keys=np.empty(0), gaps=np.empty(0), weights=np.empty(0), reference_n=0, radius=1.0)


def cells_by_hour(values: Floats, columns: Mapping[str, NDArray[Any]], rhythm: Rhythm, delta: float) -> tuple[NumberCells, ...]:
    """Of the reference's values, shape (n,); its `columns` say when. All radii hold together with probability 1 - delta."""
    most = min(KNOTS_N, CELLS_N // rhythm.hours_n)
    known = {hour: rows for hour, rows in rows_by_hour(columns, len(values), rhythm) if len(rows)}
    thick = {hour: rows for hour, rows in known.items() if rhythm is Rhythm.NONE or len(rows) >= LEAST_ROWS}
    found = [_empty(values, most) if len(thick) < rhythm.hours_n and known else _NONE] * rhythm.hours_n
    for hour, rows in thick.items():
        n, knots = len(rows), knots_of(values[rows], most)
        radius = min(1.0, reference_radius(n, delta / len(thick)) + 1.0 / n)
        found[hour] = NumberCells(**knots._asdict(), weights=knots.gaps, reference_n=n, radius=radius)
    return tuple(found)


def _empty(values: Floats, most: int) -> NumberCells:
    knots = knots_of(values, most)
    return NumberCells(**knots._asdict(), weights=np.zeros(len(knots.gaps)), reference_n=0, radius=1.0, own=1.0)


def fallen(cells: NumberCells, values: Floats, uniforms: Floats) -> NDArray[np.int64]:
    """The cell that each value falls into, shape (n,); a value that ties with knots by its uniform."""
    return cells_of(cells.values, cells.keys, values, uniforms)


def ranked(cells: NumberCells, values: Floats, uniforms: Floats) -> tuple[NumberCells, Floats, Floats]:
    """(the cells after these values; their exact ranks; their ranks in the reference alone, if it has any); uniforms of shape (2, n)."""
    for_rank, for_tie = uniforms
    at = fallen(cells, values, for_tie)
    exact, weights = urn_ranks(cells.weights, at, for_rank, own=cells.own)
    return replace(cells, weights=weights), exact, exact if cells.own else fixed_ranks(cells.gaps, at, for_rank)


def gain_of(cells: NumberCells, values: Floats) -> float:
    """Most that a bet on these values of one pane can gain, shape (n,): on where they fall, not on the order of ties (see `ties`).

    A value that ties with knots has the chance of all cells that it may fall into, by the reference or by the urn, whichever is less.
    """
    number = np.searchsorted(cells.values, values, side="left")
    is_tied = cells.values[np.minimum(number, len(cells.values) - 1)] == values
    counts = np.bincount(2 * number + is_tied)
    places = np.flatnonzero(counts)
    first, last = (np.searchsorted(cells.keys, at, side="left") for at in (places // 2, (places + 1) // 2))
    known, urn = (np.concatenate([[0.0], np.cumsum(weights)]) for weights in (cells.gaps, cells.weights))
    chances = [(edges[last + 1] - edges[first] + own) / (edges[-1] + own) for edges, own in ((known, 0.0), (urn, cells.own))]
    return most_gain(counts[places].astype(np.float64), np.minimum(*chances))
