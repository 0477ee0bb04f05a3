"""Records whose content came shortly before, counted record by record, and a clump of them once.

A record is compared with up to 31 before it, none of them from before the last hit. It is a trial when 15 have come since that, and a hit
when it is a trial and its content is among theirs. So a batch that is sent again is one hit, and one record sent 32 times in a row is two,
as it would be in two blocks of 32 records: one such clump would win any bet that took each of its records for a trial.

Of a sender who repeats a recent record now and then, whatever came before, a trial is a hit no oftener than he does so. Where contents come
by chance again the chance of a hit varies with what is remembered; but bets see hits alone, and given these it is near its mean. Where it
grows with the records since the last hit, the trials to the next one vary less than independent ones would, which lowers the mean of a bet
(it is convex in their number). Cost: a sort of the contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Contents = NDArray[np.int64]

MEMORY_N, REST_N = 31, 15
"""Records before one that it is compared with, and those after a hit that are no trials."""


class Repeats(NamedTuple):
    """k hits in n trials, and what the next records are compared with."""

    k: int
    n: int
    memory: Contents
    """The latest contents since the last hit, at most 31."""


def repeats(contents: Contents, memory: Contents) -> Repeats:
    """Of contents, shape (n,), in their order, after what `memory` holds."""
    everything, k, n = np.concatenate([memory, contents]), 0, 0
    earlier, first, seen_n = _earlier(everything), 0, len(memory)  # first: of the memory
    for at in np.flatnonzero(np.arange(len(everything)) - earlier <= MEMORY_N).tolist():
        trial = max(first + REST_N, seen_n)
        if at >= trial and earlier[at] >= first:
            k, n, first, seen_n = k + 1, n + at - trial + 1, at + 1, at + 1
    n += max(0, len(everything) - max(first + REST_N, seen_n))
    return Repeats(k, n, everything[max(first, len(everything) - MEMORY_N) :])


def _earlier(contents: Contents) -> Contents:
    """Where the same content came last, shape (n,); where it did not, further back than any memory."""
    order = np.argsort(contents, kind="stable")
    found = np.full(len(contents), -MEMORY_N - 1)
    is_same = contents[order[1:]] == contents[order[:-1]]
    found[order[1:][is_same]] = order[:-1][is_same]
    return found
