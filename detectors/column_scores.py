"""A column of any kind as a few numbers a record, each of mean 0 and variance 1 over the records: what can be averaged by hour."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from detectors.sequential.text_features import FEATURES_N, hash_texts, matrix
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CATEGORIES_N, _SUMS_N, _SEED = 8, 16, 20_261_129


class Scores(NamedTuple):
    """Of one column."""

    values: Floats
    """Shape (n, scores)."""
    names: tuple[str, ...]
    """What each is, as in "explains 12 % of the variance of …"."""


def scores_of(values: NDArray[Any], kind: ColumnKind) -> Scores | None:
    """None where nothing varies.

    Numbers: rank (missing lowest) and how far it lies from the middle. Categories: whether it is each of the 8 most frequent, missing,
    another. Texts and embeddings: 16 random sums of their features.
    """
    match kind:
        case ColumnKind.NUMERIC:
            numbers = np.asarray(values, dtype=np.float64)
            rank = rankdata(np.where(np.isnan(numbers), -np.inf, numbers)) / max(1, len(numbers)) - 0.5
            found = [("its rank", rank), ("its distance from the middle", np.abs(rank))]
        case ColumnKind.CATEGORY:
            found = list(_categories(values.tolist()))
        case ColumnKind.TEXT:
            sums = matrix(hash_texts(values.tolist())) @ _signs(FEATURES_N)
            found = [("some of its words", column) for column in np.asarray(sums).T]
        case ColumnKind.EMBEDDING:
            there = np.nan_to_num(np.asarray(values, dtype=np.float64))
            found = [("a direction of it", column) for column in (there @ _signs(there.shape[1])).T]
    return _standard(found)


def _categories(values: list[str | None]) -> Iterable[tuple[str, Floats]]:
    seen = Counter(v for v in values if v is not None)
    kept = sorted(seen, key=lambda c: (-seen[c], c))[:_CATEGORIES_N]
    index: dict[str | None, int] = {c: i for i, c in enumerate(kept)} | {None: len(kept)}
    cells = np.fromiter((index.get(v, len(kept) + 1) for v in values), dtype=np.int64, count=len(values))
    names = [*(f"whether it is {c}" for c in kept), "whether it is missing", "whether it is one of the others"]
    for i, name in enumerate(names):
        yield name, (cells == i).astype(np.float64)


def _signs(features_n: int) -> Floats:
    """Random signs, shape (features, 16), the same in every process."""
    return np.asarray(np.random.default_rng([_SEED, features_n]).choice([-1.0, 1.0], (features_n, _SUMS_N)))


def _standard(found: list[tuple[str, Floats]]) -> Scores | None:
    centred = [(name, x - x.mean()) for name, x in found if len(x)]
    kept = [(name, x / sd) for name, x in centred if (sd := float(x.std())) > 1e-12]  # noqa: PLR2004 (more than rounding)
    return Scores(np.stack([x for _, x in kept], axis=1), tuple(name for name, _ in kept)) if kept else None
