"""Maximum mean discrepancy of embeddings, by random Fourier features, with a permutation of blocks for its null."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detectors.drift.one_look import OneLookOfColumn
from detectors.registry import register
from detectors.sketches.fourier import BLOCKS_N, FEATURES_N, Fourier, fourier_features
from detectors.types import Eats

if TYPE_CHECKING:
    from detectors.types import Reference, Verdict, Window

    Floats = NDArray[np.float64]

_PERMUTATIONS_N = 499
_LEAST_BLOCKS = 4
_WIDEST = math.sqrt(2.0)
"""Two means in the unit ball of positive kernels are at most so far apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MmdState:
    """The reference's features in the smallest blocks that a test may want."""

    sizes: NDArray[np.int64]
    sums: NDArray[np.float64]
    """Shape (blocks, FEATURES_N), in the order of the reference's rows."""


@register("mmd")
@dataclass(frozen=True, kw_only=True)
class Mmd(OneLookOfColumn):
    """Two-sample test of a column of embeddings: the distance of the mean features of window and reference.

    Value: MMD in [0, sqrt 2] with the bias of both samples' own spread taken off; its interval by McDiarmid's inequality. The p-value
    exchanges runs of the window (about one a pane) with runs of as many reference rows: a dependence within a run makes no alarm.
    """

    eats: ClassVar[frozenset[Eats]] = frozenset({Eats.EMBEDDING})
    guarantee: ClassVar[str] = (
        "P(p <= alpha) <= alpha at one look where runs of production are exchangeable with runs of the reference's rows"
    )
    assumption: ClassVar[str] = "runs independent of each other, of about one size; the interval: vectors independent"
    cost: ClassVar[str] = "500 sums over at most 128 blocks of 256 features, whatever the window holds: 20 ms; no labels"
    source: ClassVar[str] = "Gretton et al. 2012, JMLR 13 (test); Rahimi & Recht 2007 (features); Phipson & Smyth 2010 (p-value)"

    @classmethod
    def example(cls) -> Self:
        """As the contract tests build it."""
        return cls(column="input.vector")

    def start(self, reference: Reference) -> MmdState:
        """The reference's blocks."""
        vectors = reference.columns.get(self.column, np.empty((0, 1)))
        vectors = vectors[np.isfinite(vectors).all(axis=1)] if len(vectors) else vectors
        blocks = np.array_split(vectors, max(1, min(8 * BLOCKS_N, len(vectors) // 2)))
        sums = np.stack([fourier_features(block).sum(axis=0) if len(block) else np.zeros(FEATURES_N) for block in blocks])
        return MmdState(sizes=np.array([len(block) for block in blocks], dtype=np.int64), sums=sums)

    def step(self, state: MmdState, data: Window) -> tuple[MmdState, Verdict]:
        """One look at a window."""
        current = data.sketches.get(self.column, {}).get("fourier", Fourier())
        m, n = int(state.sizes.sum()), current.n
        if min(m, n) < self.min_n:
            because = f"{self.column}: {n} vectors in the window, {m} in the reference; both need {self.min_n}"
            return state, self.unknown((0.0, 0.0, _WIDEST), n, because)
        figure = _distance(state.sums.sum(axis=0) / m, m, current.mean, n, self.alpha)
        sizes, sums = _joined(state, float(current.sizes.mean()))
        if min(len(sizes), len(current.sizes)) < _LEAST_BLOCKS:
            because = (
                f"{self.column}: {len(current.sizes)} runs of vectors against {len(sizes)} of the reference; both need {_LEAST_BLOCKS}"
            )
            return state, self.unknown(figure, n, because)
        p = _chance(sizes, sums, current)
        because = (
            f"{self.column}: embeddings of window and reference are {figure[0]:.3f} apart (MMD), p = {p:.2g} "
            f"{'<=' if p <= self.alpha else '>'} {self.alpha:g}; {n} vectors against {m}"
        )
        return state, self.told(p, figure, n, because)


def _distance(before: Floats, m: int, after: Floats, n: int, alpha: float) -> tuple[float, float, float]:
    """(MMD without the bias, low, high). A mean of n features of length 1 is within (1 + sqrt(2 ln(2/alpha)))/sqrt(n) of its own."""
    gap = float(np.sum((after - before) ** 2))
    spread = sum((1.0 - float(mean @ mean)) / (size - 1) for mean, size in ((before, m), (after, n)))
    value = math.sqrt(max(0.0, gap - spread))
    radius = sum((1.0 + math.sqrt(2.0 * math.log(2.0 / alpha))) / math.sqrt(size) for size in (m, n))
    distance = math.sqrt(gap)
    return value, min(value, max(0.0, distance - radius)), min(_WIDEST, max(value, distance + radius))


def _joined(state: MmdState, size: float) -> tuple[NDArray[np.int64], Floats]:
    """The reference in runs of about `size` rows, at most BLOCKS_N: as large as the window's panes, so that they can be exchanged."""
    runs = max(1, min(BLOCKS_N, len(state.sizes), round(float(state.sizes.sum()) / size)))
    starts = np.linspace(0, len(state.sizes), runs, endpoint=False).astype(np.int64)
    return np.add.reduceat(state.sizes, starts), np.add.reduceat(state.sums, starts, axis=0)


def _chance(sizes: NDArray[np.int64], sums: Floats, current: Fourier) -> float:
    """(1 + exchanges at least as far apart) / (1 + exchanges); the exchanges are fixed by the numbers of blocks and vectors."""
    all_sizes, all_sums = np.concatenate([sizes, current.sizes]).astype(np.float64), np.concatenate([sums, current.sums])
    rng = np.random.default_rng([len(sizes), len(current.sizes), current.n])
    is_before = np.zeros((_PERMUTATIONS_N + 1, len(all_sizes)))
    is_before[0, : len(sizes)] = 1.0
    order = rng.random((_PERMUTATIONS_N, len(all_sizes))).argsort(axis=1)[:, : len(sizes)]
    np.put_along_axis(is_before[1:], order, 1.0, axis=1)
    before, after = is_before @ all_sums, (1.0 - is_before) @ all_sums
    gaps = before / (is_before @ all_sizes)[:, None] - after / ((1.0 - is_before) @ all_sizes)[:, None]
    found = (gaps**2).sum(axis=1)
    return float((found >= found[0] - 1e-12).sum()) / (_PERMUTATIONS_N + 1)
