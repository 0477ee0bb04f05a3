"""Whether columns have a rhythm of the day or week, by a test that keeps its level where neighbouring records are alike anyway.

Every column becomes a few scores a record (`scores_of`), summed within each hour of each day. A daily rhythm is what the hours' sums over
all days say beyond those of days that are each turned by a random number of hours: turning keeps what lies within a day and breaks what
days have in common. A weekly rhythm is what the sums by hour of the week say, once each hour's mean over all days is taken off, beyond
those of whole days in a random order. All columns are turned alike, and each is held against the largest statistic of all of them in each
turn: P(any column is found that has no rhythm) <= alpha [Westfall & Young 1993, "Resampling-based multiple testing", single-step maxT].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from detectors.rhythm import HOUR_S, Rhythm, hours_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from detectors.column_scores import Scores

    Floats = NDArray[np.float64]

ALPHA = 0.025
"""Of either rhythm: P(any of a model's columns is found falsely); 0.05 of both."""
LEAST_RATIO = 0.01
"""A rhythm that explains less of a column's variance moves an hour's mean by about a tenth of a standard deviation: not worth the rows."""
LEAST_DAYS = {Rhythm.HOUR_OF_DAY: 3, Rhythm.HOUR_OF_WEEK: 14}
_MOST_DAYS = 92
_TURNS_N = 399
_DAY_H = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Periodicity:
    """What was found of one column and rhythm."""

    subject: str
    rhythm: Rhythm
    """HOUR_OF_WEEK: beyond what the hour of the day explains."""
    explained_ratio: float
    """Share of the variance of the score that follows most, less what chance would explain."""
    of: str
    """What that score is: "its rank", "whether it is web"."""
    p: float
    """Family-wise: of all columns together."""
    steepness: float
    """How far the score's mean moves from the middle of an hour of the day to its end, at most, in its standard deviations at one time."""

    @property
    def is_found(self) -> bool:
        """Beyond chance, and large enough to matter."""
        return self.p <= ALPHA and self.explained_ratio >= LEAST_RATIO


class _Days(NamedTuple):
    """Sums of each hour of each day; hours without records are zero."""

    counts: Floats
    """Shape (days, 24)."""
    sums: Floats
    """Shape (days, 24, scores)."""
    first: int
    """Hour of the week of the first one."""


def periodicities(scores: Mapping[str, Scores], ats: Floats, rng: np.random.Generator) -> list[Periodicity]:
    """Of each column, daily then weekly, the smallest p first; rhythms that the days are too few for are left out.

    `ats`: seconds since the epoch, shape (n,), the same records as the scores'. Cost: 399 turns of days x 24 x scores sums.
    """
    days = _days(scores, ats) if len(ats) and scores else None
    if days is None:
        return []
    totals = np.concatenate([(s.values**2).sum(axis=0) for s in scores.values()])
    found = []
    for rhythm, statistic, of in ((Rhythm.HOUR_OF_DAY, _daily, days), (Rhythm.HOUR_OF_WEEK, _weekly, _whole(days, ats))):
        n = int((of.counts.sum(axis=1) > 0).sum())
        if n >= LEAST_DAYS[rhythm]:
            found += _judged(rhythm, scores, statistic(of, rng) / totals, n * _DAY_H / rhythm.hours_n, _steepness(days))
    return sorted(found, key=lambda f: (f.p, -f.explained_ratio))


def _days(scores: Mapping[str, Scores], ats: Floats) -> _Days:
    """Of the newest 92 days."""
    hours = np.floor(ats / HOUR_S).astype(np.int64)
    first = max(int(hours.min()), int(hours.max()) - _MOST_DAYS * _DAY_H + 1) // _DAY_H * _DAY_H
    kept = hours >= first
    at, n = hours[kept] - first, (int(hours.max()) - first) // _DAY_H + 1
    counts = np.bincount(at, minlength=n * _DAY_H).astype(np.float64)
    columns = [np.bincount(at, x[kept], minlength=n * _DAY_H) for s in scores.values() for x in s.values.T]
    sums: Floats = np.stack(columns, axis=1).astype(np.float64).reshape(n, _DAY_H, -1)
    return _Days(counts.reshape(n, _DAY_H), sums, int(hours_of(np.array([first * HOUR_S]), Rhythm.HOUR_OF_WEEK)[0]))


def _whole(days: _Days, ats: Floats) -> _Days:
    """Without a first day that begins, or a last one that ends, more than an hour off midnight."""
    day_s = _DAY_H * HOUR_S
    start = int((float(ats.min()) % day_s) > HOUR_S and int((ats.max() - ats.min()) // day_s) < _MOST_DAYS)
    end = len(days.counts) - int(day_s - float(ats.max()) % day_s > HOUR_S)
    return _Days(days.counts[start:end], days.sums[start:end], (days.first + start * _DAY_H) % (7 * _DAY_H))


def _daily(days: _Days, rng: np.random.Generator) -> Floats:
    """What the hours of the day explain, shape (1 + turns, scores): as it was, then with each day turned."""
    means = days.sums.sum(axis=1) / np.maximum(days.counts.sum(axis=1), 1.0)[:, None]
    sums = days.sums - days.counts[:, :, None] * means[:, None, :]

    def turned(by: NDArray[np.int64]) -> Floats:
        at = (np.arange(_DAY_H) + by[:, None]) % _DAY_H  # (days, 24)
        row = np.arange(len(by))[:, None]
        return _between(sums[row, at].sum(axis=0), days.counts[row, at].sum(axis=0))

    n = len(days.counts)
    return _all(turned, np.zeros(n, dtype=np.int64), lambda: rng.integers(0, _DAY_H, n))


def _weekly(days: _Days, rng: np.random.Generator) -> Floats:
    """What the hours of the week explain beyond those of the day, likewise: as it was, then with days in another order.

    Days that were recorded in part are left out: two of them, the first and the last, always stand in the same places.
    """
    means = days.sums.sum(axis=0) / np.maximum(days.counts.sum(axis=0), 1.0)[:, None]
    sums = days.sums - days.counts[:, :, None] * means
    weekday = (np.arange(len(days.counts)) + days.first // _DAY_H) % 7

    def ordered(order: NDArray[np.int64]) -> Floats:
        is_on = (weekday[order] == np.arange(7)[:, None]).astype(np.float64)  # (7, days)
        by_week = np.tensordot(is_on, sums, axes=1)  # (7, 24, scores)
        return _between(by_week.reshape(7 * _DAY_H, -1), (is_on @ days.counts).reshape(-1))

    n = len(days.counts)
    return _all(ordered, np.arange(n), lambda: rng.permutation(n))


def _between(sums: Floats, counts: Floats) -> Floats:
    """Sum of squares between hours, less what hours with a record bring by chance (scores have variance 1), shape (scores,)."""
    return np.asarray((sums**2 / np.maximum(counts, 1.0)[:, None]).sum(axis=0) - (counts > 0.0).sum(), dtype=np.float64)


def _all(statistic: Callable[[NDArray[np.int64]], Floats], actual: NDArray[np.int64], draw: Callable[[], NDArray[np.int64]]) -> Floats:
    return np.stack([statistic(actual), *(statistic(draw()) for _ in range(_TURNS_N))])


def _steepness(days: _Days) -> Floats:
    """A quarter of what lies between the hour before and the hour after, shape (scores,)."""
    means = days.sums.sum(axis=0) / np.maximum(days.counts.sum(axis=0), 1.0)[:, None]
    slopes = np.abs(np.roll(means, -1, axis=0) - np.roll(means, 1, axis=0)) / 4.0
    return np.asarray(slopes.max(axis=0), dtype=np.float64)


def _judged(rhythm: Rhythm, scores: Mapping[str, Scores], found: Floats, cycles: float, steepness: Floats) -> list[Periodicity]:
    """Each column's statistic is the sum over its scores, in standard deviations of the turns; p by the largest of all columns.

    Days in disorder still carry one part in `cycles` of a true rhythm: what is explained beyond them is that much too small.
    """
    ratios = (found[0] - found[1:].mean(axis=0)) * cycles / (cycles - 1.0)
    edges = np.cumsum([0, *(s.values.shape[1] for s in scores.values())])
    columns = np.stack([found[:, a:b].sum(axis=1) for a, b in pairwise(edges.tolist())], axis=1)  # (1 + turns, columns)
    spread = columns.std(axis=0)
    z = np.where(spread > 0.0, (columns - columns.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0), 0.0)
    largest = z.max(axis=1)
    judged = []
    for i, (subject, score) in enumerate(scores.items()):
        own = ratios[edges[i] : edges[i + 1]]
        best = int(np.argmax(own))
        p = float((largest >= z[0, i]).mean())
        explained = float(np.clip(own[best], 0.0, 1.0))
        steep = float(steepness[edges[i] + best] / np.sqrt(max(0.05, 1.0 - explained)))
        judged.append(Periodicity(subject=subject, rhythm=rhythm, explained_ratio=explained, of=score.names[best], p=p, steepness=steep))
    return judged
