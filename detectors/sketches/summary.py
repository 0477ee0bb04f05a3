"""All sketches of all columns of one pane, window or reference, and their one binary form."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from detectors.sketches.counts import Counts
from detectors.sketches.fourier import Fourier
from detectors.sketches.hits import Hits
from detectors.sketches.moments import Moments, finite
from detectors.sketches.quantiles import Quantiles
from detectors.sketches.score_counts import ScoreCounts
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

AnySketch = Moments | Quantiles | Counts | Fourier | Hits | ScoreCounts
Summary = dict[str, dict[str, AnySketch]]
"""Subject -> {"moments" | "quantiles" | "counts" | "fourier" | "wrong": sketch}; "record" -> {"at" | "repeats" | "ids": sketch};
"output.scores" -> {"scores": `ScoreCounts`} where classes have scores."""

_SKETCHES: dict[str, type[AnySketch]] = {"moments": Moments, "quantiles": Quantiles, "counts": Counts}
_SKETCHES |= {"fourier": Fourier, "wrong": Hits, "at": Moments, "repeats": Hits, "ids": Hits, "scores": ScoreCounts}
_MAGIC = b"RTS\x01"  # the last byte is the version
_NAME = struct.Struct("<H")
_SIZE = struct.Struct("<I")


def summarise(columns: Mapping[str, NDArray[Any]], kinds: Mapping[str, ColumnKind]) -> Summary:
    """One pass over the columns (subject -> values, shape (n,)); those without a kind are left out.

    Numeric: moments and quantiles of the values. Category: counts. Text: moments and quantiles of the length in characters.
    Embedding: Fourier features.
    """
    return {subject: _column(values, kinds[subject]) for subject, values in columns.items() if subject in kinds}


def _column(values: NDArray[Any], kind: ColumnKind) -> dict[str, AnySketch]:
    match kind:
        case ColumnKind.CATEGORY:
            return {"counts": Counts().add(values)}
        case ColumnKind.EMBEDDING:
            return {"fourier": Fourier.of(values)}
        case ColumnKind.NUMERIC:
            numbers = np.asarray(values, dtype=np.float64)  # (n,)
        case ColumnKind.TEXT:
            numbers = np.fromiter((np.nan if x is None else len(x) for x in values.tolist()), dtype=np.float64, count=len(values))
        case _:
            assert_never(kind)
    kept, missing = finite(numbers)  # once for both
    return {"moments": Moments.of(kept, missing=missing), "quantiles": Quantiles.of(kept)}


def merge_summaries(a: Mapping[str, Mapping[str, AnySketch]], b: Mapping[str, Mapping[str, AnySketch]]) -> Summary:
    """Both together; neither changes. A subject or sketch that only one has is taken as it is; the empty mapping is neutral."""
    merged: Summary = {subject: dict(sketches) for subject, sketches in a.items()}
    for subject, sketches in b.items():
        mine = merged.setdefault(subject, {})
        for name, sketch in sketches.items():
            mine[name] = _merge(mine[name], sketch) if name in mine else sketch
    return merged


def _merge(a: AnySketch, b: AnySketch) -> AnySketch:
    match a, b:
        case Moments(), Moments():
            return a.merge(b)
        case Quantiles(), Quantiles():
            return a.merge(b)
        case Counts(), Counts():
            return a.merge(b)
        case Hits(), Hits():
            return a.merge(b)
        case Fourier(), Fourier():
            return a.merge(b)
        case ScoreCounts(), ScoreCounts():
            return a.merge(b)
        case _:
            raise ValueError(f"cannot merge {type(a).__name__} with {type(b).__name__}; did a column change its kind?")


def summary_to_bytes(summary: Mapping[str, Mapping[str, AnySketch]]) -> bytes:
    """One blob: magic and version, then subject, name and bytes of each sketch. No pickle."""
    parts = [_MAGIC, _SIZE.pack(len(summary))]
    for subject, sketches in summary.items():
        parts += [_text(subject), _SIZE.pack(len(sketches))]
        for name, sketch in sketches.items():
            data = sketch.to_bytes()
            parts += [_text(name), _SIZE.pack(len(data)), data]
    return b"".join(parts)


def summary_from_bytes(data: bytes) -> Summary:
    """The inverse; `ValueError` on bytes that `summary_to_bytes` cannot have written. Never reads or reserves more than is there."""
    if data[:4] != _MAGIC:
        raise ValueError(f"not a summary of version {_MAGIC[3]}: it starts with {data[:4]!r}")
    reader = _Reader(data)
    summary: Summary = {}
    for _ in range(reader.size()):
        subject = reader.text()
        if subject in summary:
            raise ValueError(f"a summary holds {subject!r} twice")
        sketches = summary.setdefault(subject, {})
        for _ in range(reader.size()):
            name = reader.text()
            if name not in _SKETCHES or name in sketches:
                raise ValueError(f"a summary holds the sketch {name!r} twice, or there is none of that name")
            sketches[name] = _SKETCHES[name].from_bytes(reader.take(reader.size()))
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes are left behind a summary")
    return summary


def _text(value: str) -> bytes:
    data = value.encode(errors="surrogatepass")
    return _NAME.pack(len(data)) + data


class _Reader:
    """Takes parts off a blob; `ValueError` at its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, len(_MAGIC)

    def take(self, n: int) -> bytes:
        part = self._data[self.at : self.at + n]
        if len(part) != n:
            raise ValueError(f"a summary ends after {len(self._data)} bytes in the middle of something")
        self.at += n
        return part

    def size(self) -> int:
        return int(_SIZE.unpack(self.take(_SIZE.size))[0])

    def text(self) -> str:
        return self.take(_NAME.unpack(self.take(_NAME.size))[0]).decode(errors="surrogatepass")
