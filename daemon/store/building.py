"""The records of a pane become Parquet, sketches and columns: pure computing but for the one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.store.columns import Frame, Reader
from daemon.store.log_table import log_table
from daemon.store.record_log import write_log
from detectors.sketches.hits import Hits
from detectors.sketches.records import CONTENT, RECORD, summarise_records
from detectors.sketches.score_counts import ScoreCounts
from detectors.sketches.summary import Summary, summarise, summary_to_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from daemon.settings import ModelSettings
    from daemon.store.spooled import Rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What one version's records of a pane come to."""

    columns: dict[str, NDArray[Any]]
    """Subject -> values, shape (n,): what the sequential detectors take in."""
    wrong: dict[str, NDArray[np.int64]]
    """Subject -> rows whose value does not read as the column's kind."""
    summary: bytes
    """`summary_to_bytes` of all sketches."""


class Building:
    """For one model; made once."""

    def __init__(self, model: ModelSettings) -> None:
        self._reader, self._kinds, self._pi = Reader(model), model.subjects(), model.sample_ratio
        self._labels = model.labels

    def build(self, rows: Rows, path: Path) -> Built:
        """The file is durable when this returns."""
        frame = self._reader.frame(rows.lines)
        write_log(path, log_table(rows, frame, self._pi))
        return Built(
            columns={**frame.watched, CONTENT: frame.contents}, wrong=frame.wrong, summary=summary_to_bytes(self._sketches(rows, frame))
        )

    def _sketches(self, rows: Rows, frame: Frame) -> Summary:
        summary = summarise(frame.watched, self._kinds)
        n = len(rows.ids)
        for subject in self._kinds:
            if not subject.startswith("output."):  # these are typed at the door
                summary[subject]["wrong"] = Hits(n=n, k=len(frame.wrong.get(subject, ())))
        if (scores := frame.watched.get("output.scores")) is not None:
            summary["output.scores"] = {"scores": ScoreCounts.of(scores, frame.predicted, self._labels)}
        return {**summary, RECORD: dict(summarise_records(frame.contents, np.asarray(rows.ats)))}
