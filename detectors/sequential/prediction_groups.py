"""Predictions of records that wait for labels, in small groups: each labelled pair is compared with one group, each record is in one."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_SIZE, MOST_N = 16, 2048
"""Records of a group at most: a mean of 16 leaves a sixteenth of the prediction's variance. Groups that wait: the oldest go first."""
_LEAST_SIZE = 2
_APART_S = 3600.0
"""A group that is further from the labelled record in time may be of another traffic: it is not used for it."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Of records in their order."""

    at: Floats
    """When the pane of each group began, seconds since the epoch, ascending, (groups,)."""
    mean: Floats
    """Of its predictions, (groups,)."""
    begun: Floats
    """Number and sum of the predictions that make no whole group yet, (2,)."""
    records_n: int = 0
    pairs_n: int = 0
    """So far: their ratio makes the size of the next pane's groups."""


def no_groups() -> Groups:
    """Before any record."""
    return Groups(at=np.zeros(0), mean=np.zeros(0), begun=np.zeros(2))


def add_records(groups: Groups, f: Floats, at: float) -> Groups:
    """Predictions of a pane's records, (n,), in their order; the size of a group is fixed by the panes before."""
    size = int(np.clip(groups.records_n // max(1, groups.pairs_n), _LEAST_SIZE, MOST_SIZE))
    first = max(0, size - int(groups.begun[0]))
    if len(f) < first:
        return replace(groups, begun=groups.begun + np.array([len(f), f.sum()]), records_n=groups.records_n + len(f))
    whole = (len(f) - first) // size
    rest = f[first + whole * size :]
    head = (groups.begun[1] + float(f[:first].sum())) / (groups.begun[0] + first)
    means = np.append(head, f[first : first + whole * size].reshape(whole, size).mean(axis=1))
    return replace(
        groups,
        at=np.append(groups.at, np.full(len(means), at))[-MOST_N:],
        mean=np.append(groups.mean, means)[-MOST_N:],
        begun=np.array([len(rest), rest.sum()], dtype=np.float64),
        records_n=groups.records_n + len(f),
    )


def matched(groups: Groups, at: Floats) -> tuple[Groups, Floats]:
    """For labelled records of these times, (n,): the mean of the nearest group, used up by it; NaN where none is near. O(n log groups)."""
    ats, means = groups.at.tolist(), groups.mean.tolist()
    found = np.full(len(at), np.nan)
    for i, time in enumerate(at.tolist()):
        place = bisect_left(ats, time)
        near = [j for j in (place - 1, place) if 0 <= j < len(ats) and abs(ats[j] - time) <= _APART_S]
        if near:
            j = min(near, key=lambda k: abs(ats[k] - time))
            found[i] = means.pop(j)
            ats.pop(j)
    return replace(groups, at=np.array(ats), mean=np.array(means), pairs_n=groups.pairs_n + len(at)), found
