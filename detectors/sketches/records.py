"""What is kept of records as such, whatever their columns hold: when they were made, and whether their contents repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.hits import Hits
from detectors.sketches.moments import Moments

RECORD = "record"
"""Subject of what speaks of whole records in a summary."""
CONTENT = "record.content"
"""Subject of the checksums of contents among the columns of an increment or a reference, shape (n,), int64, or NOT_LOOKED_AT."""
AT = "record.at"
"""Subject of the times of records among the same columns, shape (n,), float64, seconds since the epoch, NaN = not known."""
NOT_LOOKED_AT = -1
"""Of a record that is left out: of a large pane the first ones say enough."""
BLOCK_N = 32
"""Records that are looked at together for a content that comes twice."""


def repeating_blocks(contents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a content comes twice within each whole block of `BLOCK_N` looked-at records in a row, shape (at most n // BLOCK_N,)."""
    kept = contents[contents != NOT_LOOKED_AT]
    blocks = np.sort(kept[: len(kept) // BLOCK_N * BLOCK_N].reshape(-1, BLOCK_N), axis=1)
    found: NDArray[np.bool_] = (blocks[:, 1:] == blocks[:, :-1]).any(axis=1)
    return found


def summarise_records(contents: NDArray[np.int64], ats: NDArray[np.float64]) -> dict[str, Moments | Hits]:
    """Of records in the order of the log: digests of their contents and their times (seconds since the epoch), shape (n,)."""
    return {"at": Moments.of(ats), "repeats": Hits().add(repeating_blocks(contents))}
