"""Macro F1 with its interval, from what was answered and what was right. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_DRAWS = 2000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A value with its 95 % interval and the rows behind it; n = 0: nothing to say, all None."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def json(self) -> dict[str, float | int | None]:
        """As in summary.json."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        if self.value is None:
            return "unknown (no rows)"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] on {self.n} rows"


NOTHING = Figure(value=None, low=None, high=None, n=0)


def macro_f1(answers: Iterable[tuple[str, str]], labels: Sequence[str], *, seed: int = 0) -> Figure:
    """Mean over `labels` of the F1 of each, from (label, predicted) pairs; percentile bootstrap over rows (rows are independent)."""
    place = {name: i for i, name in enumerate(labels)}
    k = len(labels)
    counts = np.zeros((k, k), dtype=np.int64)  # (label, predicted)
    for label, predicted in answers:
        counts[place[label], place[predicted]] += 1
    n = int(counts.sum())
    if n == 0:
        return NOTHING
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=_DRAWS).reshape(_DRAWS, k, k)
    low, high = np.quantile(_macro(drawn), _TAILS)
    return Figure(value=float(_macro(counts[None])[0]), low=float(low), high=float(high), n=n)


def _macro(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Macro F1 of confusion counts, shape (draws, k, k) -> (draws,). A class that neither occurs nor is answered is left out."""
    right = np.diagonal(counts, axis1=1, axis2=2)  # (draws, k)
    both = counts.sum(axis=1) + counts.sum(axis=2)  # (draws, k): answered + true
    with np.errstate(invalid="ignore"):
        f1 = np.where(both > 0, 2 * right / np.maximum(both, 1), np.nan)
    return np.asarray(np.nanmean(f1, axis=1), dtype=np.float64)
