"""Rows of several columns as one small code a value, and as features of equal weight a column.

The codes are made from one half of a reference, so that the other half is as new to them as production is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.uint8]

_LEVELS_N = 64
_NAMES_N = 30
_MISSING = 255
_PER_NUMBER, _PER_NAME = 3, _NAMES_N + 2


class Coding(NamedTuple):
    """How values become codes, by column in the order of the rows' columns."""

    knots: dict[str, Floats]
    """Numeric column -> at most 64 values of the reference, ascending; a value's code is how many lie below it."""
    names: dict[str, tuple[str, ...]]
    """Category column -> its 30 most frequent values; a value's code is its place there, 30 for any other."""


def coding_of(columns: Mapping[str, NDArray[np.float64] | NDArray[np.object_]]) -> Coding:
    """Of some rows of a reference."""
    knots: dict[str, Floats] = {}
    names: dict[str, tuple[str, ...]] = {}
    for subject, values in columns.items():
        if values.dtype == object:
            found, counts = np.unique([str(v) for v in values if v is not None], return_counts=True)
            names[subject] = tuple(str(found[i]) for i in np.argsort(-counts, kind="stable")[:_NAMES_N])
        else:
            numbers = values[~np.isnan(values)]
            ranks = np.linspace(0.0, 1.0, _LEVELS_N + 2)[1:-1]
            knots[subject] = np.unique(np.quantile(numbers, ranks, method="lower")) if len(numbers) else np.empty(0)
    return Coding(knots, names)


def encode(coding: Coding, subjects: Sequence[str], columns: Mapping[str, NDArray[np.float64] | NDArray[np.object_]], n: int) -> Codes:
    """Codes of n rows, shape (n, len(subjects)); a column that is not there is missing in all of them."""
    codes = np.full((n, len(subjects)), _MISSING, dtype=np.uint8)
    for j, subject in enumerate(subjects):
        values = columns.get(subject)
        if values is None:
            continue
        if subject in coding.names:
            place = {name: i for i, name in enumerate(coding.names[subject])}
            codes[:, j] = [_MISSING if v is None else place.get(v, _NAMES_N) for v in values.tolist()]
        else:
            is_there = ~np.isnan(values)
            codes[is_there, j] = np.searchsorted(coding.knots[subject], values[is_there], side="left")
    return codes


def features(coding: Coding, subjects: Sequence[str], codes: Codes) -> tuple[Floats, NDArray[np.int64]]:
    """(rows, shape (n, features); column of each feature). A row's length is about 1.

    A number: its rank z in [-1, 1], z^2, and whether it is missing; rank and square have mean 0 and variance 1 in the reference. A
    category: one for each name, for any other and for missing.
    """
    blocks, owners = [], []
    for j, subject in enumerate(subjects):
        code = codes[:, j]
        is_missing = code == _MISSING
        if subject in coding.names:
            block = np.zeros((len(code), _PER_NAME))
            block[np.arange(len(code)), np.where(is_missing, _NAMES_N + 1, code)] = np.sqrt(2.0)
        else:
            z = np.where(is_missing, 0.0, 2.0 * code / max(1, len(coding.knots[subject])) - 1.0)
            square = np.where(is_missing, 0.0, z * z - 1.0 / 3.0)
            block = np.stack([np.sqrt(3.0) * z, np.sqrt(45.0 / 4.0) * square, 2.0 * is_missing], axis=1)
        blocks.append(block)
        owners += [j] * block.shape[1]
    return np.concatenate(blocks, axis=1) / np.sqrt(2.0 * len(subjects)), np.array(owners)


def normal_features(coding: Coding, subjects: Sequence[str], codes: Codes) -> Floats:
    """Rows as features of variance 1 a feature, shape (n, features), for models that add columns up.

    A number: its normal score g (the normal quantile of its rank), g^2 and whether it is missing: what a moved mean or spread of a normal
    column multiplies its density by is the exponential of a sum of these. A category: as in `features`.
    """
    blocks = []
    for j, subject in enumerate(subjects):
        code = codes[:, j]
        is_missing = code == _MISSING
        if subject in coding.names:
            block = np.zeros((len(code), _PER_NAME))
            block[np.arange(len(code)), np.where(is_missing, _NAMES_N + 1, code)] = np.sqrt(2.0)
        else:
            rank = np.where(is_missing, 0.5, (code + 0.5) / (len(coding.knots[subject]) + 1.0))
            g = ndtri(rank)
            block = np.stack([g, np.where(is_missing, 0.0, (g * g - 1.0) / np.sqrt(2.0)), 2.0 * is_missing], axis=1)
        blocks.append(block)
    return np.concatenate(blocks, axis=1) if blocks else np.empty((len(codes), 0))


class CodedRows:
    """Rows and how to read them; equal by content, so that what is learnt from them is learnt once."""

    def __init__(self, coding: Coding, subjects: Sequence[str], codes: Codes) -> None:
        self._coding, self._subjects, self._codes = coding, subjects, codes
        widths = tuple(len(coding.knots.get(subject, ())) for subject in subjects)  # all that `features` reads of the coding
        self._key = (codes.tobytes(), codes.shape, tuple(subject in coding.names for subject in subjects), widths)

    def features(self) -> Floats:
        """As of `features`."""
        return features(self._coding, self._subjects, self._codes)[0]

    def __eq__(self, other: object) -> bool:
        """By content."""
        return isinstance(other, CodedRows) and self._key == other._key

    def __hash__(self) -> int:
        """By content."""
        return hash(self._key)
