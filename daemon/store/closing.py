"""Closing a pane: its records become Parquet, sketches and one increment, its labels become pairs. Reads the ledger, writes only files."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from daemon.store.ahead import new_part
from daemon.store.closed import ClosedPane, Join, Part, Reign
from daemon.store.columns import concatenated
from daemon.store.joining import Joiner, Own, waited
from daemon.store.pairing import Pairing
from daemon.store.record_log import RecordLog, log_path
from daemon.store.spooled import rows_of
from detectors.sequential.timed_rows import times_of
from detectors.sketches.confusion import Confusion
from detectors.sketches.fourier import Fourier
from detectors.sketches.hits import Hits
from detectors.sketches.judged import judge
from detectors.sketches.records import AT, RECORD
from detectors.sketches.summary import summary_from_bytes
from detectors.types import Increment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from daemon.settings import ModelSettings
    from daemon.store.builder import Builder
    from daemon.store.building import Built
    from daemon.store.embed.panes import Embedded
    from daemon.store.key_runs import KeyRuns
    from daemon.store.pending import Buffer, HeldLabel, Pending
    from daemon.store.spooled import Rows

log = structlog.get_logger()
Columns = dict[str, "NDArray[Any]"]


class Closing:
    """One pane of one model while it is being closed."""

    def __init__(
        self, tx: Connection, model: ModelSettings, builder: Builder, log: RecordLog, runs: KeyRuns, *, champion: Reign | None
    ) -> None:
        self._tx, self._model, self._builder, self._log, self._runs = tx, model, builder, log, runs
        self._version, self._since, answers_since, self._epoch = champion or Reign("", 0.0)
        self._answers_since = self._since if answers_since is None else answers_since
        self._pairing = Pairing(model)
        self._repeated = 0
        self._parts: list[Part] = []
        self._own: dict[bytes, Own] = {}
        self._fresh: list[Columns] = []  # columns of the champion's records, one dict a part
        self._embedded: Sequence[Embedded] = ()
        self._vectors: dict[str, list[NDArray[Any]]] = defaultdict(list)  # of the champion's texts, subject -> (n, d) a part; their times
        self._wrong: Counter[str] = Counter()  # of the champion's records: values that do not read as their column's kind

    def close(
        self, pending: Pending, index: int, late: Sequence[int], labels: Sequence[HeldLabel], embedded: Sequence[Embedded] = ()
    ) -> ClosedPane:
        """Everything of pane `index`, of the late buffers before it, and of the labels that are due; `embedded`: vectors of its texts."""
        self._embedded = embedded
        pane_s, model = self._model.monitors.pane_s, self._model
        indices = [i for i in (*late, index) if i in pending.buffers]
        self._repeated = pending.repeated[self._version]
        needs_own = bool(labels) or pending.n_waiting > 0
        for i in indices:
            self._take(pending.buffers[i], i * pane_s, needs_own=needs_own)
        self._count_ids(pending.repeated)
        unsampled = [pair for i in indices for pair in pending.buffers[i].unsampled]
        joins = self._joins(pending, labels, {key for key, _ in unsampled})
        self._give_pairs(joins, index * pane_s)
        return ClosedPane(
            model=model.name,
            start=index * pane_s,
            end=(index + 1) * pane_s,
            parts=tuple(self._parts),
            joins=tuple(joins),
            increment=self._increment(index, joins),
            epoch=self._epoch,
            indices=tuple(indices),
            unsampled=tuple(unsampled),
            told=sum((one.told for one in embedded), Counter()),
        )

    def _take(self, buffer: Buffer, start: float, *, needs_own: bool) -> None:
        """A buffer's records: the pieces that were built ahead, then one part a version."""
        n_seen, taken = Counter(buffer.seen), 0
        for part, built in buffer.pieces:
            rows = range(taken, taken := taken + part.n)
            n_seen[part.version] -= part.n_seen
            self._add(part, rows, buffer, built, needs_own=needs_own)
        by_version: dict[str, list[int]] = defaultdict(list)
        for i in range(taken, len(buffer.records)):
            by_version[buffer.records[i].version].append(i)
        for version, n in n_seen.items():
            if n:
                rows_left = by_version[version]
                part = replace(
                    self._part(version, start, n_seen=n),
                    keys=[buffer.keys[i] for i in rows_left],
                    ats=[buffer.records[i].at for i in rows_left],
                )
                self._add(part, rows_left, buffer, None, needs_own=needs_own)

    def _add(self, part: Part, rows: Sequence[int], buffer: Buffer, ahead: Future[Built] | None, *, needs_own: bool) -> None:
        """One part of these rows of a buffer: its Parquet is durable and its sketches are made when this returns."""
        if needs_own:
            at, pi = len(self._parts), self._model.sample_ratio
            self._own |= {part.keys[k]: (at, k, buffer.records[i], pi) for k, i in enumerate(rows)}
        if part.n:
            path = log_path(self._model.name, part.version, part.start, part.seq)
            built = self._built(ahead, path, lambda: rows_of([buffer.records[i] for i in rows]))
            part = replace(part, path=path, summary={**summary_from_bytes(built.summary), **self._embed(part)})
            if part.version == self._version:
                self._fresh.append(_since({**built.columns, AT: np.asarray(part.ats, dtype=np.float64)}, part.ats, self._since))
                kept = np.asarray(part.ats) >= self._since  # (n,)
                self._wrong.update({subject: int(kept[wrong].sum()) for subject, wrong in built.wrong.items()})
        self._parts.append(part)

    def _built(self, ahead: Future[Built] | None, path: str, rows: Callable[[], Rows]) -> Built:
        """What was built ahead; built now where it was not, or could not be (a full disk)."""
        if ahead is not None:
            try:
                return ahead.result()
            except OSError as error:
                log.warning("piece.failed", model=self._model.name, error=str(error)[:200])
        return self._builder.build(self._model.name, rows(), path)

    def _embed(self, part: Part) -> dict[str, dict[str, Fourier]]:
        """Sketches of the part's texts that were embedded; another encoder's have another name and never merge with these."""
        found = {}
        for one in self._embedded:
            rows = [i for i, key in enumerate(part.keys) if key in one.vectors]
            if not rows:
                continue
            found[f"{one.subject}@{one.fingerprint}"] = {"fourier": Fourier.of(np.stack([one.vectors[part.keys[i]] for i in rows]))}
            own = [i for i in rows if part.ats[i] >= self._since]
            if own and part.version == self._version:
                self._vectors[one.subject].append(np.stack([one.vectors[part.keys[i]] for i in own]))
                self._vectors[times_of(one.subject)].append(np.array([part.ats[i] for i in own], dtype=np.float64))
        return found

    def _count_ids(self, repeated: Mapping[str, int]) -> None:
        """How many ids came again, of all that came: with the first part of each version."""
        for i, part in enumerate(self._parts):
            k = repeated.get(part.version, 0) if all(p.version != part.version for p in self._parts[:i]) else 0
            record = {**part.summary.get(RECORD, {}), "ids": Hits(n=part.n_seen + k, k=k)}
            self._parts[i] = replace(part, summary={**part.summary, RECORD: record})

    def _part(self, version: str, start: float, *, n_seen: int) -> Part:
        return new_part(self._tx, self._model, version, start, n_seen=n_seen, beside=self._parts)

    def _joins(self, pending: Pending, labels: Sequence[HeldLabel], unsampled: set[bytes]) -> list[Join]:
        joiner = Joiner(self._tx, self._model, self._log, self._runs, self._own, unsampled=unsampled)
        waits = waited(self._tx, self._model.name, [*self._own, *unsampled]) if pending.n_waiting else []
        return [*joiner.join(waits, is_new=False), *joiner.join(labels, is_new=True)]

    def _give_pairs(self, joins: Sequence[Join], start: float) -> None:
        """Confusion counts go to the pane in which the label was joined, under the version that answered."""
        by_version: dict[str, list[Join]] = defaultdict(list)
        for join in joins:
            if self._pairing.is_pair(join):
                by_version[join.version].append(join)
        for version, found in by_version.items():
            pairs = self._pairing.pairs(found)
            at = next((i for i, p in enumerate(self._parts) if p.version == version and p.start == start), None)
            if at is None:
                at = len(self._parts)
                self._parts.append(self._part(version, start, n_seen=0))
            judged = judge(pairs, self._model.labels, self._model.favourable())
            self._parts[at] = replace(self._parts[at], n_pairs=pairs.n, confusion=Confusion().add(pairs), judged=judged)

    def _increment(self, index: int, joins: Sequence[Join]) -> Increment:
        """The champion's records of its epoch and pairs of its reign: others are stored only."""
        pane_s = self._model.monitors.pane_s
        columns = {**concatenated(self._fresh), **{subject: np.concatenate(parts) for subject, parts in self._vectors.items()}}
        mine = [j for j in joins if j.version == self._version and j.at >= self._answers_since]
        return Increment(
            start=datetime.fromtimestamp(index * pane_s, UTC),
            end=datetime.fromtimestamp((index + 1) * pane_s, UTC),
            columns=columns,
            pairs=self._pairing.pairs(mine),
            n=len(next(iter(columns.values()), ())),
            wrong=dict(self._wrong),
            arrived=sum(part.n_seen for part in self._parts if part.version == self._version) + self._repeated,
            repeated=self._repeated,
        )


def _since(columns: Columns, ats: Sequence[float], since: float) -> Columns:
    """The rows recorded at or after the epoch's start."""
    kept = np.asarray(ats) >= since  # (n,)
    return columns if kept.all() else {subject: values[kept] for subject, values in columns.items()}
