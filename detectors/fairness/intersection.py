"""Groups of several protected columns at once, as one more group column: "age_band & sex" with groups like "old & f"."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

AND = " & "


def intersections(columns: Sequence[str]) -> list[str]:
    """Every two of the columns."""
    return [AND.join(pair) for pair in combinations(columns, 2)]


def joint_groups(groups: Mapping[str, NDArray[np.object_]], wanted: Iterable[str]) -> dict[str, NDArray[np.object_]]:
    """The columns and the wanted intersections of them, each (n,); a group is unknown (None) where one of its parts is."""
    found = dict(groups)
    for name in wanted:
        a, b = (groups[part].tolist() for part in name.split(AND))
        joint = np.empty(len(a), dtype=object)
        joint[:] = [None if x is None or y is None else f"{x}{AND}{y}" for x, y in zip(a, b, strict=True)]
        found[name] = joint
    return found
