"""The rhythm of a day or a week: which records are compared with each other when traffic is not alike at every hour.

Records of one hour of the day (of the week) are compared with the reference rows of that hour and with those that came at it since: a
Mondrian taxonomy [Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world", section 4.5]. Where records of the same hour are
exchangeable, ranks within the hour are exactly uniform and independent, whatever the hours have to do with each other. Hours are UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from detectors.sketches.records import AT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from detectors.types import Increment

    Columns = Mapping[str, NDArray[Any]]
    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]

HOUR_S, _DAY_H, _WEEK_H = 3600.0, 24, 168
_THURSDAY_H = 3 * _DAY_H
"""The first hour of 1970 as an hour of its week, which begins on Monday: 0 in any day."""
LEAST_ROWS = 20
"""Reference rows of an hour; one with fewer is compared with its own records since the epoch began."""
CELLS_N = 4096
"""Of all hours together: what bounds the state of a detector that keeps cells for each of them."""


class Rhythm(StrEnum):
    """Which records are alike."""

    NONE = "none"
    """All."""
    HOUR_OF_DAY = "hour_of_day"
    """Those of one hour of the day."""
    QUARTER_HOUR_OF_DAY = "quarter_hour_of_day"
    """Those of one quarter of an hour of the day: where an hour brings so many records that its beginning differs from its end."""
    HOUR_OF_WEEK = "hour_of_week"
    """Those of one hour of the week."""

    @property
    def hours_n(self) -> int:
        """How many hours (quarters of them) are told apart."""
        quarters = Rhythm.QUARTER_HOUR_OF_DAY
        return {Rhythm.NONE: 1, Rhythm.HOUR_OF_DAY: _DAY_H, quarters: 4 * _DAY_H, Rhythm.HOUR_OF_WEEK: _WEEK_H}[self]

    @property
    def hour_s(self) -> float:
        """How long one of them is."""
        return HOUR_S / 4.0 if self is Rhythm.QUARTER_HOUR_OF_DAY else HOUR_S

    @property
    def name_of_hour(self) -> str:
        """In a sentence: "hour of the day"."""
        return self.value.replace("_", " ").replace(" of ", " of the ")

    @property
    def words(self) -> str:
        """As a sentence goes on: "at the same hour of the day"."""
        return "" if self is Rhythm.NONE else f"at the same {self.name_of_hour}"


def hours_of(ats: Floats, rhythm: Rhythm) -> Rows:
    """Hour of each time (seconds since the epoch), shape (n,): 0 is the first after midnight, of a week on Monday. NaN: -1."""
    is_known = np.isfinite(ats)
    hours = np.floor(np.where(is_known, ats, 0.0) / rhythm.hour_s).astype(np.int64) + (_THURSDAY_H if rhythm is Rhythm.HOUR_OF_WEEK else 0)
    return np.where(is_known, hours % rhythm.hours_n, -1)


def rows_by_hour(
    columns: Mapping[str, NDArray[Any]], n: int, rhythm: Rhythm, *, otherwise: float | None = None
) -> Iterator[tuple[int, Rows]]:
    """(hour, its rows in their order) of n rows; `otherwise`: the time of rows that carry none. Rows without a time are in no hour."""
    if rhythm is Rhythm.NONE:
        yield 0, np.arange(n)
        return
    ats = columns.get(AT)
    if ats is None or len(ats) != n:
        ats = np.full(n, np.nan if otherwise is None else otherwise)
    hours = hours_of(ats, rhythm)
    for hour in np.unique(hours[hours >= 0]).tolist():
        yield hour, np.flatnonzero(hours == hour)


def increment_by_hour(data: Increment, n: int, rhythm: Rhythm) -> Iterator[tuple[int, Rows]]:
    """The same of a pane's n rows; those that carry no time are of the pane's start."""
    return rows_by_hour(data.columns, n, rhythm, otherwise=data.start.timestamp())


def why_not_yet(reference_n: int, rhythm: Rhythm) -> str:
    """Why a column has no verdict: a sentence."""
    if reference_n:
        return "no production values yet"
    timed = "" if rhythm is Rhythm.NONE else " with a time (`at`), which a rhythm needs"
    return f"the reference has no values of this column{timed}"
