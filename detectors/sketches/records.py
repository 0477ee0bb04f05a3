"""What is kept of records as such, whatever their columns hold: when they were made, and whether their contents repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.hits import Hits
from detectors.sketches.moments import Moments

RECORD = "record"
"""Subject of what speaks of whole records in a summary."""
CONTENT = "record.content"
"""Subject of the digests of contents among the columns of an increment or a reference, shape (n,), int64."""
BLOCK_N = 32
"""Records that are looked at together for a content that comes twice."""


def repeating_blocks(contents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a content comes twice within each whole block of `BLOCK_N` records in a row, shape (n // BLOCK_N,)."""
    blocks = np.sort(contents[: len(contents) // BLOCK_N * BLOCK_N].reshape(-1, BLOCK_N), axis=1)
    found: NDArray[np.bool_] = (blocks[:, 1:] == blocks[:, :-1]).any(axis=1)
    return found


def summarise_records(contents: NDArray[np.int64], ats: NDArray[np.float64]) -> dict[str, Moments | Hits]:
    """Of records in the order of the log: digests of their contents and their times (seconds since the epoch), shape (n,)."""
    return {"at": Moments.of(ats), "repeats": Hits().add(repeating_blocks(contents))}
