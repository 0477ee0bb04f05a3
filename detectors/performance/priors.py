"""Label shift: how often each class is true in production, from answers (BBSE) or from scores (MLLS), if only that changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS, _STILL, _LONGEST = 500, 1e-8, 1e6
_SINGULAR = 1e-6


@dataclass(frozen=True, kw_only=True)
class Priors:
    """Shares of the classes in production."""

    share: Floats
    """(k,), sums to 1."""
    low: Floats
    high: Floats
    """Each class's own interval, (k,)."""
    change_error: Floats
    """Standard error of share now - share in the reference, (k,); of `by_scores` the latter is taken as known."""


def by_answers(table: Floats, answers: Floats, *, alpha: float = 0.05) -> Priors | None:
    """BBSE: solve C w = mu; None where the answers do not tell the classes apart (C close to singular).

    `table` (k, k): labelled rows by (answer, truth); `answers` (k,): how often production answered each class. Interval: delta method over
    both samples, each with z^2 rows more (those of the table evenly over its cells, for those of the answers see `_mean_of`).
    Assumption: p(x | class) unchanged; every class of production is in the reference. Cost: O(k^3).
    [Lipton, Wang & Smola 2018, arXiv:1802.03916]
    """
    n, m = float(table.sum()), float(answers.sum())
    joint, now = table / n, answers / m
    prior = joint.sum(axis=0)  # (k,)
    if (prior <= 0.0).any() or np.linalg.svd(joint, compute_uv=False)[-1] < _SINGULAR:
        return None
    inverse = np.linalg.inv(joint)
    w = inverse @ now
    k = len(w)
    solve = prior[:, None] * inverse  # (k, k): from answers to shares
    z2 = float(ndtri(alpha / 2.0)) ** 2
    centre, moved = _mean_of(solve, answers, z2)
    # influence of a labelled row (answer i, truth j) on each share, (k, i, j): it raises p_j, and C w by w_j e_i
    own = w[:, None, None] * np.eye(k)[:, None, :] - solve[:, :, None] * w[None, None, :]
    likely = (table + z2 / k**2) / (n + z2)
    learnt, compared = (_spread(x, likely) / (n + z2) for x in (own, own - np.eye(k)[:, None, :]))
    return _priors(w * prior, moved + learnt, alpha, change=moved + compared, centre=centre)


def _mean_of(values: Floats, counts: Floats, z2: float) -> tuple[Floats, Floats]:
    """(mean, its variance), (k,) each, of what answers (k, k) are worth that came so often (k,), with z^2/2 more of the least and the most.

    So that the mean is not known exactly where all answers are one (of 0 and 1 alone: Agresti & Coull 1998).
    """
    ends, n = np.stack([values.min(axis=1), values.max(axis=1)], axis=1), float(counts.sum()) + z2
    mean = (values @ counts + 0.5 * z2 * ends.sum(axis=1)) / n
    away, beyond = values - mean[:, None], ends - mean[:, None]
    return mean, (away**2 @ counts + 0.5 * z2 * (beyond**2).sum(axis=1)) / n**2


def _spread(influence: Floats, joint: Floats) -> Floats:
    """Variance of each class's influence, (k,), over labelled rows (i, j) that come with chance `joint` (k, k)."""
    centre = (influence * joint).sum(axis=(1, 2), keepdims=True)
    return np.asarray(((influence - centre) ** 2 * joint).sum(axis=(1, 2)))


def by_scores(posterior: Floats, prior: Floats, count: Floats | None = None, *, alpha: float = 0.05) -> Priors:
    """MLLS: maximum likelihood of the shares by EM, from calibrated posteriors.

    `posterior` (n, k) under `prior` (k,), the classes' shares in the rows that calibrated it; `count` (n,): records that share a row.
    Interval: observed information on the simplex; the calibrator's own error is not in it. Assumption: as `by_answers`, and calibrated.
    Cost: O(n k) a step; in leaps (SQUAREM), since EM alone takes thousands of steps where scores hardly tell the classes apart.
    [Saerens, Latinne & Decaestecker 2002; Alexandari, Kundaje & Shrikumar 2020, arXiv:1901.06852]
    """
    n = np.ones(len(posterior)) if count is None else count
    odds = posterior / np.maximum(prior, 1e-12)  # (n, k)
    share = _most_likely(odds, n, prior)
    scaled = odds / np.maximum(odds @ share, 1e-300)[:, None]  # (n, k)
    k = len(share)
    basis = np.vstack([np.eye(k - 1), -np.ones((1, k - 1))])  # (k, k - 1): moves that keep the sum
    information = basis.T @ (scaled.T * n) @ scaled @ basis
    covariance = basis @ np.linalg.pinv(information) @ basis.T
    return _priors(share, np.diag(covariance), alpha, change=np.diag(covariance), centre=share)


def _most_likely(odds: Floats, n: Floats, share: Floats) -> Floats:
    """Shares of the classes, (k,), by EM in leaps along its own path; a leap that loses likelihood is not taken."""
    found, likelihood = _em(odds, n, share)
    for _ in range(_STEPS):
        once, _ = _em(odds, n, found)
        step, bend = found - share, once - 2.0 * found + share
        if float(np.abs(step).max()) < _STILL:
            break
        length = min(max(1.0, float(np.linalg.norm(step)) / max(float(np.linalg.norm(bend)), 1e-300)), _LONGEST)
        leap = np.maximum(share + 2.0 * length * step + length**2 * bend, 0.01 * once)  # from 0 no share comes back
        after, reached = _em(odds, n, leap / leap.sum())
        if not reached >= likelihood:
            leap, (after, reached) = once, _em(odds, n, once)
        share, found, likelihood = leap / leap.sum(), after, reached
    return found


def _em(odds: Floats, n: Floats, share: Floats) -> tuple[Floats, float]:
    """One step of EM from these shares, and their log-likelihood."""
    mixed = odds * share
    total = np.maximum(mixed.sum(axis=1), 1e-300)
    return (n / total) @ mixed / n.sum(), float(n @ np.log(total))


def _priors(share: Floats, variance: Floats, alpha: float, *, change: Floats, centre: Floats) -> Priors:
    """Shares cut to [0, 1] and made to sum to 1; `centre`: of the intervals, cut too, so that none lies outside."""
    reach = -float(ndtri(alpha / 2.0)) * np.sqrt(np.maximum(variance, 0.0))
    cut = np.clip(share, 0.0, 1.0)
    cut = cut / cut.sum()
    middle = np.clip(centre, 0.0, 1.0)
    low, high = np.clip(middle - reach, 0.0, 1.0), np.clip(middle + reach, 0.0, 1.0)
    return Priors(
        share=cut,
        low=np.minimum(low, cut),
        high=np.maximum(high, cut),
        change_error=np.sqrt(np.maximum(change, 0.0)),
    )
