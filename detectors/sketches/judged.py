"""Everything that is kept of a pane's labelled pairs beside the confusion counts, and its binary form.

"means": `Means` of log_loss and brier (classes with scores), absolute_error and squared_error (numbers), quality (judged answers), and of
what groups are compared by (`detectors.group_means`).
"errors": `Errors`, for R2. "calibration": `ScoreBins`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from detectors.group_means import mean_values
from detectors.losses import losses
from detectors.sketches.errors import Errors
from detectors.sketches.means import Means
from detectors.sketches.score_bins import ScoreBins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.types import Pairs

Judged = Means | Errors | ScoreBins
_SKETCHES: dict[str, type[Judged]] = {"means": Means, "errors": Errors, "calibration": ScoreBins}
MOST_CLASSES = 20
"""With more classes the bins of each would be too many to keep: scores then give log loss and Brier score only."""
_SIZE = struct.Struct("<I")


def judge(pairs: Pairs, labels: Sequence[str], positive: str | None = None) -> dict[str, Judged]:
    """One pass over labelled pairs; a sketch without a pair is left out.

    `labels`: the classes in the order of `pairs.scores`; `positive`: the favourable one, None = the last.
    """
    favourable = positive if positive is not None else labels[-1] if labels else ""
    w = np.ones(pairs.n) if pairs.weight is None else pairs.weight
    found: dict[str, Judged] = {}
    means = Means.of(losses(pairs, labels) | mean_values(pairs, labels, favourable), pairs.groups, w)
    if means.cells:
        found["means"] = means
    if pairs.value is not None and pairs.predicted_value is not None and pairs.n:
        found["errors"] = Errors.of(pairs.predicted_value, pairs.value, w)
    if pairs.scores is not None and len(labels) <= MOST_CLASSES:
        bins = ScoreBins.of(pairs, labels, w)
        if bins.n:
            found["calibration"] = bins
    return found


def merge_judged(a: Mapping[str, Judged], b: Mapping[str, Judged]) -> dict[str, Judged]:
    """Both together; neither changes. The empty mapping is neutral."""
    merged = dict(a)
    for name, sketch in b.items():
        merged[name] = _merge(merged[name], sketch) if name in merged else sketch
    return merged


def _merge(a: Judged, b: Judged) -> Judged:
    match a, b:
        case Means(), Means():
            return a.merge(b)
        case Errors(), Errors():
            return a.merge(b)
        case ScoreBins(), ScoreBins():
            return a.merge(b)
        case _:
            raise ValueError(f"cannot merge {type(a).__name__} with {type(b).__name__}")


def judged_to_bytes(judged: Mapping[str, Judged]) -> bytes:
    """Name and bytes of each sketch, behind their lengths; nothing for nothing."""
    parts = []
    for name, sketch in judged.items():
        for data in (name.encode(), sketch.to_bytes()):
            parts += [_SIZE.pack(len(data)), data]
    return b"".join(parts)


def judged_from_bytes(data: bytes) -> dict[str, Judged]:
    """The inverse; `ValueError` on bytes that `judged_to_bytes` cannot have written."""
    parts, at = [], 0
    while at < len(data):
        end = at + _SIZE.size
        size = _SIZE.unpack(data[at:end])[0] if end <= len(data) else len(data)
        if end + size > len(data):
            raise ValueError(f"sketches of labelled pairs end after {len(data)} bytes in the middle of something")
        parts.append(data[end : end + size])
        at = end + size
    names = [part.decode(errors="replace") for part in parts[::2]]
    if len(parts) % 2 or len(set(names)) != len(names) or not set(names) <= set(_SKETCHES):
        raise ValueError(f"no sketches of labelled pairs: {names}")
    return {name: _SKETCHES[name].from_bytes(part) for name, part in zip(names, parts[1::2], strict=True)}
