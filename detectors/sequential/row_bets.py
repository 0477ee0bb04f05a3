"""The bets of detectors that learn a witness on rows of numbers: how a reference is halved, and what a pane's rows are worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from detectors.sequential.kernel_witness import bounded_hits
from detectors.sequential.wager import share_of_delta, wager
from detectors.sequential.witness import POOLS_N

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.sequential.kernel_witness import KernelWitness
    from detectors.sequential.wager import Wealth

    Floats = NDArray[np.float64]

S = TypeVar("S", bound=np.generic)

PANE_N = 2000
"""Rows of a pane that are bet on; the others are left out."""
_LEARN_N, _HOLD_N, _SEED = 512, 1536, 20_261_130


def halves(n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(rows of a reference of n that are kept, at most 512 + 1,536, in order; which of these are half A).

    Drawn, the same for every n: of rows that come in turn (one class, then the other) every other one is a half of another kind.
    """
    rng, kept_n = np.random.default_rng([_SEED, n]), min(n, _LEARN_N + _HOLD_N)
    kept, is_learnt = np.sort(rng.permutation(n)[:kept_n]), np.zeros(kept_n, dtype=np.bool_)
    is_learnt[rng.permutation(kept_n)[: math.ceil(kept_n / max(2, math.ceil(kept_n / _LEARN_N)))]] = True
    return kept, is_learnt


def latest_rows(*parts: NDArray[S]) -> NDArray[S]:
    """The newest rows that a witness may learn from."""
    return np.concatenate(parts)[-POOLS_N[-1] :]


def bet(wealth: Wealth, witness: KernelWitness, *, hold: Floats, new: Floats, alpha: float, delta: float, learnt_n: int) -> Wealth:
    """One pane's rows, which the witness has not seen."""
    return wager(wealth, bounded_hits(witness, hold, new, share_of_delta(delta, learnt_n)), len(new), alpha=alpha)
