"""Recorded traffic of each model as columns, from a file as for `retuned replay` or from the service's own record log: for `retuned check`.

Bounded: of more than 50,000 records (or 256 MB) of a model one in two, four, … is kept, drawn.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select

from daemon.capture.frames import EntryKind
from daemon.replay.read import Recording
from daemon.store import panes, rows, tables
from daemon.store.columns import Reader
from daemon.store.ledger import Ledger
from daemon.store.slices import joined
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from daemon.replay.read import Line
    from daemon.settings import ModelSettings, Settings

    Columns = dict[str, NDArray[Any]]

MOST_N = 50_000
_MOST_BYTES = 256 << 20
_DAY_S = 86_400.0
_LOG_DAYS = 35.0
"""Of the service's own log: five weeks say what a week is like, and traffic as it is now."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One model's traffic."""

    n: int
    """All records, whatever their version, kept or not."""
    labels_n: int
    first_at: float
    last_at: float
    version: str
    """The one that answered most; the columns are of its records."""
    versions_n: int
    columns: Columns
    """Subject -> values, shape (kept,)."""
    ats: NDArray[np.float64]
    """Seconds since the epoch, shape (kept,), ascending."""

    @property
    def days(self) -> float:
        """From the first record to the last; never zero."""
        return max(self.last_at - self.first_at, 1.0) / _DAY_S

    @property
    def per_day(self) -> float:
        """Records a day; of less than a day what a whole one would bring at that rate."""
        return self.n / self.days

    @property
    def labels_per_day(self) -> float:
        """Labels likewise."""
        return self.labels_n / self.days


def recorded_in_files(settings: Settings, records: Path, labels: Path | None) -> dict[str, Recorded]:
    """Model -> its traffic; a model that is not in the file is left out. `Permanent(BAD_DATA)` without a usable record."""
    models = {m.name: m for m in settings.models}
    kept = {name: _Thinned() for name in models}
    with tempfile.TemporaryDirectory(prefix="retuned-check-") as work:
        recording = Recording(records, labels, models=set(models), work=Path(work))
        for line in recording.lines():
            kept[line.model].take(line)
    return {name: _of_lines(models[name], thinned) for name, thinned in kept.items() if thinned.n}


def recorded_in_log(settings: Settings, ledger_url: str) -> dict[str, Recorded]:
    """The same from the ledger and the record log of the service, which may run. `Permanent(BAD_DATA)` when there is none."""
    file = Path(ledger_url.removeprefix("sqlite:///"))
    if ledger_url.startswith("sqlite") and not file.exists():
        raise Permanent(Reason.BAD_DATA, f"{file}: no ledger yet; the service writes it, or give recorded traffic by --records FILE")
    ledger = Ledger(ledger_url)
    try:
        with ledger.read() as tx:
            found = {m.name: _of_log(tx, m, settings.data_dir) for m in settings.models}
    finally:
        ledger.close()
    return {name: recorded for name, recorded in found.items() if recorded is not None}


@dataclass
class _Thinned:
    """Records of one model as they come, in the order of their time."""

    n: int = 0
    labels_n: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    versions: Counter[str] = field(default_factory=Counter)
    lines: list[Line] = field(default_factory=list)
    size: int = 0
    stride: int = 1
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def take(self, line: Line) -> None:
        """One more; too many are halved."""
        if line.kind is not EntryKind.RECORDS:
            self.labels_n += 1
            return
        self.first_at, self.last_at = (self.first_at if self.n else line.at), line.at
        if self.stride == 1 or self.rng.integers(self.stride) == 0:
            self.lines.append(line)
            self.size += len(line.payload)
        self.n += 1
        self.versions[line.version] += 1
        while len(self.lines) > MOST_N or (self.size > _MOST_BYTES and len(self.lines) > 1):
            kept = np.sort(self.rng.permutation(len(self.lines))[::2])
            self.lines, self.stride = [self.lines[i] for i in kept.tolist()], 2 * self.stride
            self.size = sum(len(line.payload) for line in self.lines)


def _of_lines(model: ModelSettings, found: _Thinned) -> Recorded:
    version = found.versions.most_common(1)[0][0]
    lines = [line for line in found.lines if line.version == version]
    return Recorded(
        n=found.n,
        labels_n=found.labels_n,
        first_at=found.first_at,
        last_at=found.last_at,
        version=version,
        versions_n=len(found.versions),
        columns=_columns(model, [line.payload for line in lines]),
        ats=np.asarray([line.at for line in lines], dtype=np.float64),
    )


def _of_log(tx: Connection, model: ModelSettings, data_dir: Path) -> Recorded | None:
    pane, label = tables.pane.c, tables.label.c
    newest = panes.newest_record_at(tx, model.name)
    if newest is None:
        return None
    since = newest - _LOG_DAYS * _DAY_S
    query = select(pane.version, func.sum(pane.n_seen), func.min(pane.start), func.max(pane.end), func.sum(pane.n))
    versions = tx.execute(query.where(pane.model == model.name, pane.n_seen > 0, pane.start >= since).group_by(pane.version)).all()
    version = max(versions, key=lambda row: row[4])[0]
    table = rows.sampled(tx, data_dir, model.name, since=since, until=newest, version=version, limit=MOST_N, most_files=rows.ALL_FILES)
    joined_n = select(func.count()).where(label.model == model.name, label.state == "joined", label.joined_at >= since)
    labels_n = tx.execute(joined_n).scalar() or 0
    texts = zip(*([text or "{}" for text in table[name].to_pylist()] for name in ("inputs", "output", "segments")), strict=True)
    lines = [f'{{"inputs":{inputs},"output":{output},"segments":{segments}}}'.encode() for inputs, output, segments in texts]
    return Recorded(
        n=int(sum(row[1] for row in versions)),
        labels_n=int(labels_n),
        first_at=float(min(row[2] for row in versions)),
        last_at=float(max(row[3] for row in versions)),
        version=version,
        versions_n=len(versions),
        columns=_columns(model, lines),
        ats=np.asarray(table["at"].to_pylist(), dtype=np.float64),
    )


def _columns(model: ModelSettings, lines: list[bytes]) -> Columns:
    return Reader(model).frame(joined((line, 1) for line in lines)).watched if lines else {}
