"""How many categories a column has, against how many so many records of the reference would have had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri

from detectors.drift.categories import CategoryState, category_state
from detectors.drift.cells import Figure
from detectors.drift.distance import Distance
from detectors.registry import register
from detectors.sketches.counts import Counts
from detectors.types import Eats

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window


@register("cardinality")
@dataclass(frozen=True, kw_only=True)
class Cardinality(Distance):
    """Categories of a column in a window, over the number expected of as many records of the reference.

    Value: a ratio, 1 = as expected. Expected: rarefaction (Hurlbert), the mean number of categories among n rows drawn without replacement
    from the reference's N; for more records than rows, from all of the reference's categories up to that and the number seen once for
    every further N (Good & Toulmin's first term). The interval holds the spread of that number, by the share of categories that such a draw
    misses. Alarm: the whole interval is above `limit`, or below 1 / limit. Above 1,000 categories a column is an identifier: insufficient.
    """

    limit: float = 2.0
    """Twice as many, or half as many."""

    noun: ClassVar[str] = "categories over the number expected"
    most: ClassVar[float] = 1e6
    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.FAULTS, Eats.CATEGORY})
    guarantee: ClassVar[str] = "none beyond the interval: the limit is set by hand"
    cost: ClassVar[str] = "O(categories), at most 1,000; counts are exact; no labels"
    source: ClassVar[str] = "Hurlbert 1971 (rarefaction); Good & Toulmin 1956"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.channel")

    def start(self, reference: Reference) -> CategoryState:
        """The reference's counts."""
        return category_state(reference, self.column)

    def step(self, state: CategoryState, data: Window) -> tuple[CategoryState, Verdict]:
        """One look at a window."""
        found = data.sketches.get(self.column, {}).get("counts", Counts())
        counts = np.asarray(list(state.counts.values()), dtype=np.float64)
        n_before, n = int(counts.sum()), found.n
        if min(n_before, n) < self.min_n:
            return state, self.too_few(n_before, n)
        if state.other or found.other:
            return state, self.insufficient(n, "more than 1,000 categories are an identifier, not a category")
        least, most, deviation = expected(counts, n)
        spread = float(ndtri(1.0 - self.alpha / 2.0)) * deviation
        low, high = len(found.counts) / (most + spread), len(found.counts) / max(0.5, least - spread)
        value = min(max(2.0 * len(found.counts) / (least + most), low), high)
        verdict = self.told(Figure(value, low, high), n_before=n_before, n=n, is_low=high < 1.0 / self.limit)
        return state, verdict


def expected(counts: NDArray[np.float64], n: int) -> tuple[float, float, float]:
    """Least and most categories expected among n further records, and the deviation of their number; `counts` of the reference, (k,)."""
    total = float(counts.sum())
    if n <= total:
        left = total - counts
        is_certain = left < n  # fewer others than records are drawn: the category is among them
        log_miss = gammaln(left + 1.0) - gammaln(np.maximum(left - n, 0.0) + 1.0) - gammaln(total + 1.0) + gammaln(total - n + 1.0)
        miss = np.where(is_certain, 0.0, np.exp(np.minimum(0.0, log_miss)))
        mean = float((1.0 - miss).sum())
        once = float((counts == 1).sum()) * n / total  # a further record brings categories that the reference has not, too
        return mean, mean + once, math.sqrt(float((miss * (1.0 - miss)).sum()) + once)
    once = float((counts == 1).sum())
    miss = np.exp(-counts * n / total)
    most = len(counts) + once * (n / total)
    return float(len(counts) - miss.sum()), most, math.sqrt(float((miss * (1.0 - miss)).sum()) + once * (n / total))
