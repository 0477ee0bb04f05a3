"""Which hours of a rhythm are the harder ones, where bound rows tell hours apart, and rows that bound the loss of either kind.

Of few rows an hour's own bound is wide (4 errors of 42 rows, 24 hours at once: .33), and most hours are like others. So hours are ordered
by their means on half A of the rows, and cut in two where that parts them best. Half B, which has had no say in the cut, then bounds both
parts' means: whatever the cut, and whatever the test says that decides whether there is one, as long as each bound has its share of delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Hours = NDArray[np.int64]
    Mask = NDArray[np.bool_]

LEVEL = 0.05
"""Of models whose hours are alike so many get a cut, and bounds by fewer rows."""
_LEAST_N = 50
"""Rows of half B in a part: of fewer a bound is so wide that harm is not seen (7 errors of 50: .31)."""
_DRAWS_N, _TESTED_N, _SEED = 199, 4096, 20_261_130


@dataclass(frozen=True, kw_only=True, slots=True)
class HourLevels:
    """The easier hours and the harder ones, and what is known of each."""

    rows: tuple[Mask, Mask]
    """Which rows bound the mean of the easier hours, and of the harder ones, shape (rows,): half B."""
    is_harder: Mask
    """Of each hour, shape (hours,); of one without rows of its own or of a neighbour yes."""
    n: Floats
    """Rows of each hour, shape (hours,)."""
    mean: Floats
    """Of each hour's rows with those of the hour before and after at half a weight, shape (hours,); 0 without any."""
    error: Floats
    """Standard error of that."""


class _Rows(NamedTuple):
    """Losses and their hours, shape (n,)."""

    x: Floats
    hours: Hours
    hours_n: int

    def of(self, chosen: Mask | Hours) -> _Rows:
        """Some of them."""
        return _Rows(self.x[chosen], self.hours[chosen], self.hours_n)

    def sums(self, power: int) -> Floats:
        """Of the losses to this power at each hour, with those of the hour before and after, which are often like it, at half a weight."""
        of = np.bincount(self.hours, self.x**power, minlength=self.hours_n)
        return np.asarray(of + 0.5 * (np.roll(of, 1) + np.roll(of, -1)), dtype=np.float64)


def levels_of(x: Floats, hours: Hours, hours_n: int) -> HourLevels | None:
    """Of bounded losses x at these hours (-1: not known, a row of neither part), both (n,); None: hours are not told apart.

    Losses alike at all hours are told apart in `LEVEL` of cases: a permutation test, exact whatever their distribution. Cost: 200 passes
    over at most 4,096 rows.
    """
    rng, known = np.random.default_rng([_SEED, len(x)]), hours >= 0
    held = np.zeros(len(x), dtype=np.bool_)
    held[np.lexsort((rng.random(len(x)), hours))[1::2]] = True  # of each hour every other row, drawn
    rows = _Rows(x[known], hours[known], hours_n)
    if not known.any() or not _differ(rows, rng):
        return None
    is_harder = _cut(rows.of(~held[known]), np.bincount(hours[held & known], minlength=hours_n))
    if is_harder is None:
        return None
    count, first, second = (rows.sums(power) for power in (0, 1, 2))
    some = np.maximum(count, 1.0)
    variance = np.maximum(0.0, second / some - (first / some) ** 2)
    error = np.sqrt(0.75 * variance / some)  # of as many rows at each hour: weights 1, 1/2, 1/2, their squares 3/4 of their sum
    parts = tuple(held & known & (is_harder[hours] == part) for part in (False, True))
    n = np.bincount(rows.hours, minlength=hours_n).astype(np.float64)
    return HourLevels(rows=(parts[0], parts[1]), is_harder=is_harder, n=n, mean=first / some, error=error)


def _cut(learnt: _Rows, held_n: Hours) -> Mask | None:
    """Which hours are harder, where A's means part best (most squares between the parts); None: B has too few rows for two parts."""
    n, k = learnt.sums(0), learnt.sums(1)
    order = np.argsort(np.where(n > 0.0, k / np.maximum(n, 1.0), np.inf), kind="stable")
    counts, sums, held = (np.stack([(below := np.cumsum(of[order])[:-1]), of.sum() - below]) for of in (n, k, held_n))  # (2, hours - 1)
    is_open = held.min(axis=0) >= _LEAST_N
    if not is_open.any():
        return None
    gains = np.where(is_open, (sums**2 / np.maximum(counts, 1.0)).sum(axis=0), -np.inf)
    found = np.ones(len(n), dtype=np.bool_)
    found[order[: int(gains.argmax()) + 1]] = False
    return found


def _differ(rows: _Rows, rng: np.random.Generator) -> bool:
    """Whether the hours' means differ beyond chance: against the same losses dealt to the rows at random."""
    if len(rows.x) > _TESTED_N:
        rows = rows.of(rng.permutation(len(rows.x))[:_TESTED_N])
    n, x = np.maximum(rows.sums(0), 1.0), rows.x - rows.x.mean()

    def spread(dealt: Floats) -> float:
        return float((rows._replace(x=dealt).sums(1) ** 2 / n).sum())

    found = spread(x) - 1e-9
    return 1 + sum(spread(rng.permutation(x)) >= found for _ in range(_DRAWS_N)) <= LEVEL * (1 + _DRAWS_N)
