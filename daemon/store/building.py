"""The records of a pane become Parquet, sketches and columns: pure computing but for the one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemon.store.columns import Reader, Rows, log_table
from daemon.store.record_log import write_log
from detectors.sketches.summary import summarise, summary_to_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What one version's records of a pane come to."""

    columns: dict[str, NDArray[Any]]
    """Subject -> values, shape (n,): what the sequential detectors take in."""
    summary: bytes
    """`summary_to_bytes` of all sketches."""


class Building:
    """For one model; made once."""

    def __init__(self, model: ModelSettings) -> None:
        self._reader, self._kinds, self._pi = Reader(model), model.subjects(), model.sample_ratio

    def build(self, rows: Rows, path: Path) -> Built:
        """The file is durable when this returns."""
        frame = self._reader.frame(rows)
        write_log(path, log_table(rows, frame, self._pi))
        return Built(columns=frame.watched, summary=summary_to_bytes(summarise(frame.watched, self._kinds)))
