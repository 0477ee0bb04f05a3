"""Bets that randomised ranks in a finite reference are uniform, with the reference's own error taken off every bet.

u = F_ref(x-) + U (F_ref(x) - F_ref(x-)) lies within D of the exact rank, which is uniform (ties included), whenever the reference's
distribution function is within D of the true one. With D = sqrt(ln(2/delta) / (2 n_ref)) that holds with probability 1 - delta (Dvoretzky,
Kiefer & Wolfowitz; Massart's constant). Then with a = 2u - 1 and q = 3a^2 - 1: |E a| <= 2D and |E q| <= 6D, so that
1 + s (+-a - 2D) / (1 + 2D) and 1 + s (+-q - 6D) / (1 + 6D) are bets. D is also the smallest shift that is cared for.
[increments: Vovk et al. 2021, "Retrain or not retrain"; recipes R2, fix B]
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SHIFT = np.array([0.05, 0.125, 0.25, 0.5, 0.9])
_SPREAD_OUT = np.array([0.05, 0.15, 0.3, 0.54, 0.9])
_SPREAD_IN = np.array([0.05, 0.125, 0.25, 0.45])
BETS_N = 2 * len(_SHIFT) + len(_SPREAD_OUT) + len(_SPREAD_IN)
BINS_N = 64
_CHUNK_N = 65_536


def reference_radius(n: int, delta: float) -> float:
    """D: how far the distribution function of n independent draws may be from the true one, wrong with probability <= delta."""
    return math.sqrt(math.log(2.0 / delta) / (2.0 * n))


def rank_uniforms(start: datetime, step_n: int, n: int, *, of: str) -> Floats:
    """Two U for each record of a pane, shape (2, n), fixed by its start, the step's number and who ranks: a replay gives the same evidence.

    `of` names the detector and its subject, so that quiet columns with many equal records are not lucky or unlucky together.
    """
    seconds = round(start.timestamp() * 1e6)
    return np.random.default_rng([abs(seconds), step_n, zlib.crc32(of.encode())]).random((2, n))


def log_rank_bets(u: Floats, radius: float) -> Floats:
    """Logarithm of a pane's product of each bet, shape (BETS_N,), for ranks u, shape (n,)."""
    total = np.zeros(BETS_N)
    for at in range(0, len(u), _CHUNK_N):
        a = 2.0 * u[at : at + _CHUNK_N] - 1.0
        q = 3.0 * a * a - 1.0
        sides = (
            ((a - 2 * radius) / (1 + 2 * radius), _SHIFT),
            ((-a - 2 * radius) / (1 + 2 * radius), _SHIFT),
            ((q - 6 * radius) / (1 + 6 * radius), _SPREAD_OUT),
            ((-q - 6 * radius) / (1 + 6 * radius), _SPREAD_IN),
        )
        total += np.concatenate([np.log1p(np.outer(x, stakes)).sum(axis=0) for x, stakes in sides])
    return total


def rank_counts(u: Floats) -> Floats:
    """How many ranks fall into each of BINS_N equal bins, shape (BINS_N,)."""
    return np.bincount(np.minimum((u * BINS_N).astype(np.int64), BINS_N - 1), minlength=BINS_N).astype(np.float64)


def rank_distance(counts: Floats, n: int, radius: float) -> tuple[float, float, float]:
    """Kolmogorov distance of n ranks from uniform, and its interval: 95 % of the recent records' own error plus the reference's radius."""
    if n == 0:
        return 0.0, 0.0, 1.0
    gaps = np.cumsum(counts) / n - np.arange(1, BINS_N + 1) / BINS_N
    value = float(np.abs(gaps).max())
    slack = reference_radius(n, 0.05) + radius
    return value, max(0.0, value - slack), min(1.0, value + slack + 1.0 / BINS_N)
