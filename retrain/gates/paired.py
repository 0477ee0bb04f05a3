"""What every gate rests on: the paired difference of losses on the same rows, with an honest lower bound.

Difference = loss of the champion - loss of the candidate, so that more is better for the candidate. Errors are clustered by document or
user (Miller 2024, arXiv:2411.00640); with few discordant pairs the normal approximation is not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from retrain.types import Evaluation, Permanent, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW_DISCORDANT = 25
_LEAST_CLUSTERS = 2


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Losses of champion minus candidate on the same rows."""

    d: NDArray[np.float64]
    """Shape (n,), each in [-1, 1]; +1: only the champion was wrong."""
    cluster: NDArray[np.object_]

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.d)

    @property
    def mean(self) -> float:
        """Gain of the candidate; 0.0 without rows."""
        return float(self.d.mean()) if self.n else 0.0

    @property
    def better_n(self) -> int:
        """Rows on which only the candidate was right."""
        return int((self.d > 0).sum())

    @property
    def worse_n(self) -> int:
        """Rows on which only the champion was right."""
        return int((self.d < 0).sum())

    @property
    def is_few(self) -> bool:
        """True when a normal approximation would rest on fewer than 25 discordant pairs."""
        return self.better_n + self.worse_n < FEW_DISCORDANT

    @cached_property
    def is_clustered(self) -> bool:
        """True when some cluster holds more than one row."""
        return len(set(self.cluster.tolist())) < self.n


def difference(champion: Evaluation, candidate: Evaluation, rows: NDArray[np.bool_] | None = None) -> Difference:
    """Pairs two evaluations; `Permanent(BAD_DATA)` when they are not of the same rows in the same order with the same labels."""
    if not (np.array_equal(champion.row, candidate.row) and np.array_equal(champion.label, candidate.label)):
        raise Permanent(Reason.BAD_DATA, "champion and candidate were not evaluated on the same rows")
    if len(set(champion.row.tolist())) != champion.n:
        raise Permanent(Reason.LEAK, "a row appears twice in the evaluation: it would count twice")
    d = np.asarray(champion.loss - candidate.loss, dtype=np.float64)
    if champion.n and (not np.isfinite(d).all() or np.abs(d).max() > 1.0):
        raise Permanent(Reason.BAD_DATA, "losses must be in [0, 1]")
    keep = np.ones(champion.n, dtype=bool) if rows is None else rows
    return Difference(d=d[keep], cluster=champion.cluster[keep])


def clustered_low(diff: Difference, alpha: float) -> float:
    """One-sided lower bound of the mean difference at level `alpha`, t with clusters - 1 degrees of freedom; -1 with a single cluster.

    Asymptotic in the number of clusters; errors within a cluster may depend in any way.
    """
    error, clusters = _error(diff)
    return -1.0 if clusters < _LEAST_CLUSTERS else max(-1.0, diff.mean - float(special.stdtrit(clusters - 1, 1.0 - alpha)) * error)


def clustered_p(diff: Difference, null: float) -> float:
    """One-sided p-value of "the mean difference is at most `null`", from the same t statistic as `clustered_low`."""
    error, clusters = _error(diff)
    if clusters < _LEAST_CLUSTERS:
        return 1.0
    if error == 0.0:
        return 0.0 if diff.mean > null else 1.0
    return float(special.stdtr(clusters - 1, (null - diff.mean) / error))


def signs(diff: Difference) -> tuple[int, int]:
    """Clusters whose rows together are better and worse; for single rows the discordant pairs themselves."""
    sums = _sums(diff, diff.d)
    return int((sums > 0).sum()), int((sums < 0).sum())


def _error(diff: Difference) -> tuple[float, int]:
    """(standard error of the mean, clusters)."""
    sums = _sums(diff, diff.d - diff.mean)
    clusters = len(sums)
    if clusters < _LEAST_CLUSTERS:
        return 0.0, clusters
    return float(np.sqrt(clusters / (clusters - 1) * (sums**2).sum())) / diff.n, clusters


def _sums(diff: Difference, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the values of each cluster, shape (clusters,)."""
    if not diff.is_clustered:
        return values
    _, index = np.unique(diff.cluster.astype(str), return_inverse=True)
    return np.asarray(np.bincount(index, weights=values), dtype=np.float64)


def exact_p(better: int, worse: int) -> float:
    """McNemar's exact one-sided p-value: P(at least so many better | the discordant pairs, no difference).  [McNemar 1947]."""
    return 1.0 if better + worse == 0 else float(special.bdtrc(better - 1, better + worse, 0.5))


def exact_low(better: int, worse: int, n: int, alpha: float) -> float:
    """Lower bound that goes with `exact_p` (above 0 exactly when p < alpha): Clopper-Pearson for the share of better discordant pairs."""
    discordant = better + worse
    if discordant == 0 or n == 0:
        return 0.0
    share = float(special.betaincinv(better, worse + 1, alpha)) if better else 0.0
    return (2.0 * share - 1.0) * discordant / n


def _score(delta: float, better: int, worse: int, n: int) -> float:
    """Tango's score statistic of "the difference is `delta`".  [Tango 1998, Statistics in Medicine 17:891-908]."""
    a, b, c = 2.0 * n, -better - worse + (2.0 * n - better + worse) * delta, -worse * delta * (1.0 - delta)
    q = (np.sqrt(max(0.0, b * b - 4.0 * a * c)) - b) / (2.0 * a)  # share of "worse" under delta, by maximum likelihood
    variance = n * (2.0 * q + delta * (1.0 - delta))
    gap = better - worse - n * delta
    if variance <= 0.0:
        return 0.0 if gap == 0.0 else float(np.sign(gap) * np.inf)
    return float(gap / np.sqrt(variance))


def score_low(better: int, worse: int, n: int, alpha: float) -> float:
    """Tango's one-sided lower score bound of the difference: keeps its level with few, even no, discordant pairs.

    Needs independent rows. Zero discordant pairs of n give -z^2/(n + z^2), not 0.
    """
    z = float(special.ndtri(1.0 - alpha))
    estimate = (better - worse) / n
    bottom = -1.0 + 1e-9
    if _score(bottom, better, worse, n) <= z:
        return -1.0
    from scipy import optimize  # noqa: PLC0415 (half a second of the service's start; a gate judges once a run)

    return float(optimize.brentq(lambda x: _score(x, better, worse, n) - z, bottom, min(estimate, 1.0 - 1e-9), xtol=1e-10))


def score_p(better: int, worse: int, n: int, null: float) -> float:
    """One-sided p-value of "the difference is at most `null`" from Tango's score."""
    return float(special.ndtr(-_score(null, better, worse, n)))
