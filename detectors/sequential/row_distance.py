"""How unlikely a row of several columns is by the correlations of half a reference, and which columns make it so.

Features z of a row, standardised by half A, have the covariance C there. d^2 = z (C + lambda)^-1 z is the squared distance from the mean
in units of what usually varies together [Mahalanobis 1936, On the generalised distance in statistics]; lambda = n^(-1/2) is about what an
estimate of a correlation by n rows is off by. Two columns that went together and part are far off, although each of them is as ever. A
column brings the sum of z_i ((C + lambda)^-1 z)_i over its own features.

Half A alone fixes d, so the other half's rows and production's stay exchangeable, and with them their distances: ranks are exact.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from detectors.sequential.table import Codes, Coding

    Floats = NDArray[np.float64]
    Index = NDArray[np.int64]
    Widths = tuple[tuple[bool, int], ...]

_MISSING = 255
"""As `table` codes it."""


class Expected(NamedTuple):
    """What half A shows."""

    widths: Widths
    """Of each column: (whether it is a category, how many names or knots it has)."""
    center: Floats
    """Shape (features,)."""
    scale: Floats
    """Shape (features,)."""
    directions: Floats
    """Principal ones, shape (min(rows, features), features)."""
    lost: Floats
    """What (C + lambda)^-1 is less than 1 / lambda by in each of them."""
    ridge: float
    """lambda."""

    def parts(self, codes: Codes) -> Floats:
        """What each column brings to d^2, shape (rows, columns): the parts add up to it, some may be below 0.

        Cost: 4 features min(features, rows of half A) multiplications a row.
        """
        features, first = _features(self.widths, codes)
        z = (features - self.center) / self.scale
        weighted = z / self.ridge - ((z @ self.directions.T) * self.lost) @ self.directions
        return np.asarray(np.add.reduceat(z * weighted, first, axis=1))


def expected(coding: Coding, subjects: Sequence[str], learn: Codes) -> Expected:
    """By half A's rows, at least one; of the same ones it is computed once."""
    widths = tuple((s in coding.names, len(coding.names[s] if s in coding.names else coding.knots[s])) for s in subjects)
    return _expected(widths, learn.tobytes())


@lru_cache(maxsize=16)
def _expected(widths: Widths, learn: bytes) -> Expected:
    codes = np.frombuffer(learn, np.uint8).reshape(-1, len(widths))
    features, _ = _features(widths, codes)
    n, center = len(codes), features.mean(axis=0)
    scale = np.maximum(features.std(axis=0), n**-0.5)  # what no row has as if one had it
    _, singular, directions = np.linalg.svd((features - center) / scale, full_matrices=False)
    ridge = n**-0.5
    return Expected(widths, center, scale, directions, 1.0 / ridge - 1.0 / (singular**2 / n + ridge), ridge)


def _features(widths: Widths, codes: Codes) -> tuple[Floats, Index]:
    """(features, shape (rows, features); each column's first).

    A number: the normal quantile of its rank, and whether it is missing. A category: one for each name, for any other and for missing.
    """
    blocks = []
    for (is_category, n), code in zip(widths, codes.astype(np.int64).T, strict=True):
        is_missing = code == _MISSING
        if is_category:
            place = np.where(is_missing, n + 1, np.minimum(code, n))
            blocks.append(place[:, None] == np.arange(n + 2))
        else:
            rank = np.where(is_missing, 0.5, (code + 0.5) / (n + 1.0))
            blocks.append(np.stack([ndtri(rank), is_missing], axis=1))
    first = np.cumsum([0, *(block.shape[1] for block in blocks[:-1])])
    return np.concatenate(blocks, axis=1).astype(np.float64), first
