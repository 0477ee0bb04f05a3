"""The cells that categories fall into, for each hour of a rhythm: counts, what each watched share is bet against, and its bounds."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.of_reference import check_filled, of_reference, same_in_reference
from detectors.rhythm import CELLS_N, LEAST_ROWS, Rhythm, rows_by_hour
from detectors.sequential.interval import lower_share, upper_share
from detectors.thinning import is_drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Cells = NDArray[np.int64]

_CATEGORIES_N = 1000
_WATCHED_N = 14
_NAMING_STRIDE = 3
_DRAWN_N = 10.0
"""So many rows of all hours stand beside those of one, for the chance that its hits are bet against."""


@dataclass(frozen=True, kw_only=True)
class CategoryCells:
    """Of one hour. Cells: categories by frequency in a third of the reference, then missing, then all others."""

    shares: Floats = of_reference()
    """Of the other two thirds, shape (categories + 2,)."""
    weights: Floats
    """Their counts with all that came since (see `urn`)."""
    chances: Floats = of_reference()
    """Share of each watched cell in the third that named them: what its exact hits are bet against."""
    low: Floats = of_reference()
    """Lower bound of each watched share, from the two thirds alone."""
    high: Floats = of_reference()
    mark: int = same_in_reference()
    """Of the categories and their counts: with others the weights are of other cells."""
    reference_n: int
    """0 = the urn began empty: the hour is compared with its own records since the epoch began, as in `number_cells`."""
    aside: NDArray[np.int64] | None = None
    """As in `NumberCells`."""

    @property
    def known(self) -> Floats:
        """Of the weights the reference's."""
        return self.shares * self.reference_n

    def __post_init__(self) -> None:
        check_filled(self.shares, len(self.weights))


_NO_CELLS = np.empty(0)
_NONE = CategoryCells(shares=_NO_CELLS, weights=_NO_CELLS, chances=_NO_CELLS, low=_NO_CELLS, high=_NO_CELLS, mark=0, reference_n=0)


def cells_by_hour(
    values: list[str | None], columns: Mapping[str, NDArray[Any]], rhythm: Rhythm, delta: float
) -> tuple[tuple[str, ...], Cells, tuple[CategoryCells, ...]]:
    """(categories; cells whose share is bet on: the most frequent, missing, others; cells of each hour) of the reference's values.

    A third of the reference names and orders the cells for all hours, the rest is counted. All bounds hold together with 1 - delta.
    """
    naming = is_drawn(len(values), math.ceil(len(values) / _NAMING_STRIDE))  # (n,)
    seen = Counter(v for v, names in zip(values, naming.tolist(), strict=True) if names and v is not None)
    most = min(_CATEGORIES_N, CELLS_N // rhythm.hours_n - 2)
    kept = tuple(sorted(seen, key=lambda c: (-seen[c], c))[:most])
    watched = np.unique(np.append(np.arange(min(len(kept), _WATCHED_N)), [len(kept), len(kept) + 1]))
    cells = cells_of(kept, values)
    named = np.bincount(cells[naming], minlength=len(kept) + 2)[watched]
    overall = (named + 1.0) / (naming.sum() + 1.0)
    known = {hour: rows for hour, rows in rows_by_hour(columns, len(values), rhythm) if len(rows)}
    thick = {hour: rows for hour, rows in known.items() if rhythm is Rhythm.NONE or len(rows) >= LEAST_ROWS}
    names = zlib.crc32(repr(kept).encode())
    empty = CategoryCells(
        mark=names,
        shares=np.bincount(cells, minlength=len(kept) + 2) / max(1, len(cells)),
        weights=np.zeros(len(kept) + 2),
        chances=np.minimum(overall, 0.999),
        low=np.zeros(len(watched)),
        high=np.ones(len(watched)),
        reference_n=0,
    )
    found = [empty if len(thick) < rhythm.hours_n and known else _NONE] * rhythm.hours_n
    for hour, rows in thick.items():
        own, counted = cells[rows[naming[rows]]], cells[rows[~naming[rows]]]
        n, each = max(1, len(counted)), delta / (2.0 * len(watched) * len(thick))
        counts = np.bincount(counted, minlength=len(kept) + 2).astype(np.float64)
        drawn = np.bincount(own, minlength=len(kept) + 2)[watched] + _DRAWN_N * overall
        found[hour] = CategoryCells(
            mark=zlib.crc32(counts.tobytes(), names),
            shares=counts / n,
            weights=counts,
            chances=np.minimum(overall if rhythm is Rhythm.NONE else drawn / (len(own) + _DRAWN_N), 0.999),
            low=lower_share(counts[watched], n, each),
            high=upper_share(counts[watched], n, each),
            reference_n=len(counted),
        )
    return kept, watched, tuple(found)


def cells_of(categories: tuple[str, ...], values: list[str | None]) -> Cells:
    """Cell of each value, shape (n,): its category, missing, or "others"."""
    index: dict[str | None, int] = {c: i for i, c in enumerate(categories)} | {None: len(categories)}
    return np.fromiter((index.get(v, len(categories) + 1) for v in values), dtype=np.int64, count=len(values))
