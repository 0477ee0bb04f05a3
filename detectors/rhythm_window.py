"""The part of a reference that a window is compared with when traffic has a rhythm: rows of the window's own hours, in its proportions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detectors.rhythm import Rhythm, hours_of
from detectors.sketches.records import AT
from detectors.sketches.summary import summarise
from detectors.thinning import drawn_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detectors.types import Reference


def during(reference: Reference, rhythm: Rhythm, start: float, end: float) -> Reference:
    """Rows of the hours of [start, end), seconds since the epoch; of an hour that the window covers in part, that part of its rows.

    What the reference has of an hour is as much as its traffic: so the rows come in the proportions of the window's records. Columns that
    were not made from its rows (embeddings of a sample) stay as they are. Without a rhythm, or times, the reference itself.
    """
    ats = reference.columns.get(AT)
    if rhythm is Rhythm.NONE or ats is None:
        return reference
    hour_s = rhythm.hour_s
    edges = hour_s * np.arange(int(start // hour_s), int(-(-end // hour_s)), dtype=np.float64)  # of the hours that it touches
    covered = np.minimum(end, edges + hour_s) - np.maximum(start, edges)
    parts = np.bincount(hours_of(edges, rhythm), covered, minlength=rhythm.hours_n)
    hours = hours_of(ats, rhythm)
    kept = [_part(np.flatnonzero(hours == hour), part / parts.max()) for hour, part in enumerate(parts.tolist()) if part > 0.0]
    rows = np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)
    columns = {s: values[rows] if len(values) == len(ats) else values for s, values in reference.columns.items()}
    own = {s for s, values in reference.columns.items() if len(values) == len(ats)}
    fresh = summarise(columns, {s: kind for s, kind in reference.kinds.items() if s in own})
    sketches = {s: {**found, **fresh.get(s, {})} for s, found in reference.sketches.items()}
    return replace(reference, columns=columns, sketches=sketches)


def _part(rows: NDArray[np.int64], part: float) -> NDArray[np.int64]:
    """About that part of them, drawn."""
    found: NDArray[np.int64] = rows[drawn_rows(len(rows), int(part * len(rows)))]
    return found
