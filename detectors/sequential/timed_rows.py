"""Rows that know their hour of a rhythm: texts, and rows of numbers. What `hour_witness` learns from and bets on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from detectors.rhythm import hours_of
from detectors.sequential.text_features import Texts, hash_texts
from detectors.sketches.records import AT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from detectors.rhythm import Rhythm

    Hours = NDArray[np.int16]
    Index = NDArray[np.int64]


class TimedRows(Protocol):
    """Rows in order, each with its hour."""

    @property
    def hours(self) -> Hours:
        """Shape (n,); -1 = no time is known."""
        ...

    def take(self, rows: Index) -> Self:
        """Some of them, in the order of `rows`."""
        ...

    def then(self, later: Self) -> Self:
        """These and later ones."""
        ...


@dataclass(frozen=True, kw_only=True)
class TimedTexts:
    """Hashed texts: see `Texts`."""

    ids: NDArray[np.uint16]
    sizes: NDArray[np.int32]
    hours: Hours

    @classmethod
    def of(cls, values: Iterable[str | None], hours: Hours) -> TimedTexts:
        """Texts as they are."""
        return cls(**hash_texts(values)._asdict(), hours=hours)

    @property
    def texts(self) -> Texts:
        """Without their hours."""
        return Texts(self.ids, self.sizes)

    def take(self, rows: Index) -> TimedTexts:
        """Some of them."""
        sizes = self.sizes[rows].astype(np.int64)
        ends = np.cumsum(self.sizes.astype(np.int64))[rows]
        places = np.repeat(ends - np.cumsum(sizes), sizes) + np.arange(sizes.sum())  # each text's own ids, one after the other
        return TimedTexts(ids=self.ids[places], sizes=self.sizes[rows], hours=self.hours[rows])

    def then(self, later: TimedTexts) -> TimedTexts:
        """These and later ones."""
        ids, sizes = np.concatenate([self.ids, later.ids]), np.concatenate([self.sizes, later.sizes])
        return TimedTexts(ids=ids, sizes=sizes, hours=np.concatenate([self.hours, later.hours]))


@dataclass(frozen=True, kw_only=True)
class TimedValues:
    """Rows of numbers, shape (n, columns): vectors or codes."""

    values: NDArray[Any]
    hours: Hours

    def take(self, rows: Index) -> TimedValues:
        """Some of them."""
        return TimedValues(values=self.values[rows], hours=self.hours[rows])

    def then(self, later: TimedValues) -> TimedValues:
        """These and later ones."""
        return TimedValues(values=np.concatenate([self.values, later.values]), hours=np.concatenate([self.hours, later.hours]))


def times_of(subject: str) -> str:
    """Column that holds the times of a column whose rows are of some records only: vectors of a sample's texts."""
    return f"{subject}.at"


def hours_in(columns: Mapping[str, NDArray[Any]], subject: str, n: int, rhythm: Rhythm, *, otherwise: float = np.nan) -> Hours:
    """Hour of each of a column's n rows, by its own times or those of all records; `otherwise`: the time of all where there are no n."""
    ats = columns.get(times_of(subject), columns.get(AT))
    return hours_of(ats if ats is not None and len(ats) == n else np.full(n, otherwise), rhythm).astype(np.int16)
