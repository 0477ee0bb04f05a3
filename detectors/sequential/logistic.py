"""Logistic regression with a ridge, for `table.normal_features`: which rows are of production, and what loss to expect of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit

from detectors.sequential.witness import CUTS, POOLS_N

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_RIDGE, _STEPS, _STILL = 4.0, 25, 1e-6
_MOST_LOGIT = 30.0


def fit(rows: Floats, y: NDArray[np.bool_] | Floats, weight: Floats) -> Floats:
    """Coefficients, the intercept last, shape (features + 1,), by Newton's method; `rows` (n, features), `weight` of each row (n,).

    `y` is true or false, or in [0, 1], whose mean is learnt then. A feature that is 0 in all rows has coefficient 0 and costs nothing.
    Cost: O(n features^2) a step, seven steps or so.
    """
    is_used = rows.any(axis=0)
    x = np.column_stack([rows[:, is_used], np.ones(len(rows))])
    ridge = np.append(np.full(x.shape[1] - 1, _RIDGE), 1e-6)
    b = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = expit(np.clip(x @ b, -_MOST_LOGIT, _MOST_LOGIT))
        step = np.linalg.solve((x.T * (weight * p * (1.0 - p))) @ x + np.diag(ridge), x.T @ (weight * (y - p)) - ridge * b)
        b = b + step
        if float(np.abs(step).max()) < _STILL:
            break
    found = np.zeros(rows.shape[1] + 1)
    found[np.append(is_used, True)] = b
    return found


def logits(coefficients: Floats, rows: Floats) -> Floats:
    """Of rows, shape (n, features): shape (n,)."""
    return np.asarray(np.clip(rows @ coefficients[:-1] + coefficients[-1], -_MOST_LOGIT, _MOST_LOGIT), dtype=np.float64)


class LinearWitness(NamedTuple):
    """Two classifiers of half A of a reference against the last 128 and 512 production rows."""

    coefficients: Floats
    """Shape (pools, features + 1)."""
    cuts: Floats
    """Logits above which a row is hit, shape (pools, cuts)."""

    def hits(self, rows: Floats) -> Floats:
        """How many rows each classifier and cut hits, shape (WITNESSES_N,)."""
        scores = np.column_stack([logits(b, rows) for b in self.coefficients])  # (n, pools)
        found: Floats = (scores[:, :, None] > self.cuts).sum(axis=0).ravel().astype(np.float64)
        return found


def learn_linear(learn: Floats, pool: Floats) -> LinearWitness:
    """From half A and production rows, the newest last."""
    found = [apart(learn, pool[-most:]) for most in POOLS_N]
    return LinearWitness(np.stack(found), np.stack([np.quantile(logits(b, learn), CUTS) for b in found]))


def apart(before: Floats, now: Floats, weight: Floats | None = None) -> Floats:
    """Coefficients of production against reference, both sides of equal weight: the logit is the logarithm of the density ratio.

    `weight` of each row of `before` beside the others; None = all alike.
    """
    is_now = np.arange(len(before) + len(now)) >= len(before)
    n = len(is_now)
    of_each = np.where(is_now, 0.5 * n / len(now), 0.5 * n / len(before))
    if weight is not None:
        of_each[: len(before)] *= weight / weight.mean()
    return fit(np.concatenate([before, now]), is_now, of_each)
