"""From the spool to closed panes: de-duplicated, on time, sampled by hash, joined with labels, each exactly once.

A tick is `pull`, then for each pane of `due` one transaction with `commit` in it, then `release`. Memory holds only what the spool still
has: after a crash or a transaction that failed, the next `pull` reads again from the ledger's mark.

Exactly once: `spool` is the mark before which everything is in committed panes, `pulled` the one up to which drops are counted. An entry
between the two is read again; what of it is in the ledger already was committed or counted from there, and is skipped in silence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import structlog

from daemon.store import counters, keys, tables
from daemon.store.ahead import build_ahead
from daemon.store.builder import Builder
from daemon.store.closing import Closing
from daemon.store.commit import commit_pane
from daemon.store.delays import delays
from daemon.store.key_runs import KeyRuns
from daemon.store.marks import marks_of, n_waiting, newest_pane
from daemon.store.pending import Pending
from daemon.store.ports import Mark
from daemon.store.record_log import RecordLog
from daemon.store.sorting import Item, labels_in, records_in, sort_labels, sort_records
from daemon.store.upsert import upsert
from retrain.types import Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from daemon.settings import ModelSettings, Settings
    from daemon.store.closed import ClosedPane, Reign
    from daemon.store.embed.panes import Embedded, Embeddings
    from daemon.store.ledger import Ledger
    from daemon.store.ports import Entry, Feed

log = structlog.get_logger()

_CHUNK_N = 5000  # records looked up at once
_MOST_PENDING_N = 200_000


class Intake:
    """One per service; used by the ticking thread only.

    Memory: the sampled records of the open panes, 16 bytes of each other one there, and 2.7 of each one within the horizon.
    """

    def __init__(self, settings: Settings, ledger: Ledger, feed: Feed, data_dir: Path, embeddings: Embeddings | None = None) -> None:
        self._models = {model.name: model for model in settings.models}
        self._builder = Builder(settings.models, data_dir)
        self._embeddings = embeddings
        self._ledger, self._feed = ledger, feed
        self.log = RecordLog(data_dir)
        self._pending: dict[str, Pending] = {}
        self._mark = self._fresh_from = Mark(0, 0)
        self._commits = -1
        self._until, self._is_complete = float("-inf"), True  # of the last pull
        self._counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self._runs = KeyRuns()
        self._is_pruned = True
        self.set_back: dict[str, float] = {}
        """Model -> by how much its newest pane ends after the clock, of those in which that was seen since somebody cleared this."""
        self._future_s = settings.future_s

    @property
    def n_pending(self) -> int:
        """Records in open panes."""
        return sum(len(pending.keys) for pending in self._pending.values())

    @property
    def is_empty(self) -> bool:
        """Whether all that was read is in committed panes."""
        return not any(pending.buffers or pending.labels for pending in self._pending.values())

    def versions(self, model: str) -> dict[str, tuple[float, int]]:
        """Version -> (start of the first open pane with a record of it, records) of the model's open panes."""
        found: dict[str, tuple[float, int]] = {}
        buffers = self._pending[model].buffers if model in self._pending else {}
        for index in sorted(buffers):
            for version, n in buffers[index].seen.items():
                first_at, before = found.get(version, (index * self._models[model].monitors.pane_s, 0))
                found[version] = (first_at, before + n)
        return found

    @property
    def mark(self) -> Mark:
        """The position in the spool up to which was read."""
        return self._mark

    def pull(self, now: float) -> None:
        """Read what is new in the spool; stops early when much is pending (after an outage): memory stays bounded, and `due` goes on."""
        with self._ledger.read() as tx:
            self._heal(tx)
            self._look_at_clock(tx, now)
            batch: list[tuple[Entry, Mark]] = []
            batch_n = 0
            self._is_complete, self._until, before = True, now, self._mark
            for entry in self._feed.read(self._mark):
                batch.append((entry, before))
                before, batch_n = Mark(*entry.mark), batch_n + entry.n
                if batch_n >= _CHUNK_N:
                    self._take(tx, batch)
                    batch, batch_n = [], 0
                    self._build_ahead(tx)
                    if self.n_pending >= _MOST_PENDING_N:
                        self._is_complete, self._until = False, min(now, entry.received_at)
                        break
            self._take(tx, batch)
            self._build_ahead(tx)

    def due(self, now: float, champions: Mapping[str, Reign]) -> Iterator[ClosedPane]:
        """Panes to close, in order; `champions`: model -> what goes to its detectors. Commit each before asking for the next."""
        yield from self._due(now, champions)
        while not self._is_complete:
            self._merge()
            self.pull(now)
            yield from self._due(now, champions)

    def commit(self, tx: Connection, pane: ClosedPane) -> None:
        """Panes, keys, labels, counters and the spool's mark, all in the caller's transaction."""
        pending, count = self._pending[pane.model], self._counts[pane.model]
        commit_pane(tx, pane, self._runs, now=pane.end + self._models[pane.model].monitors.watermark_s)
        count["records", "stored"] += pane.n
        count["records", "sampled_out"] += len(pane.unsampled)
        count.update({("texts", told): n for told, n in pane.told.items()})
        for join in pane.joins:
            if join.is_new:
                count["labels", "stored"] += 1
            count["joins", join.state] += 1
            pending.n_waiting += (join.state == "waiting") - (not join.is_new)
        count.update(delays(pane.joins))
        for index in pane.indices:
            pending.drop(index)
        pending.repeated.clear()
        pending.drop_labels({join.held.key for join in pane.joins if join.is_new})
        index = round(pane.start / self._models[pane.model].monitors.pane_s)
        pending.closed = index if pending.closed is None else max(index, pending.closed)
        self._advance(tx)

    def _advance(self, tx: Connection) -> None:
        """Counters and the spool's mark without a pane: also a tick that only dropped something gets ahead.

        `Transient(CONFLICT)` when an earlier transaction failed and `pull` was not called since: memory is not what the ledger says.
        """
        if marks_of(tx).get("commits", Mark(0, 0)).offset != self._commits:
            raise Transient(Reason.CONFLICT, "an earlier commit of the intake failed; pull again")
        for model, count in self._counts.items():
            counters.add(tx, model, count)
        self._counts.clear()
        firsts = [first for pending in self._pending.values() for first in pending.firsts()]
        self._commits += 1
        self._write_marks(tx, min([*firsts, self._mark]))

    def close(self) -> None:
        """No tick follows."""
        self._builder.close()

    def release(self) -> None:
        """After the panes of a tick: counters and mark of what gave no pane, then the spool may delete what is in the ledger."""
        with self._ledger.begin() as tx:
            self._advance(tx)
            spool = marks_of(tx)["spool"]
        self._feed.release(spool)
        self._merge()
        self._builder.release()

    def prune(self, tx: Connection, now: float) -> dict[str, int]:
        """Forget keys of records older than the label horizon, a part a call (`is_pruned`); model -> labels that waited so long."""
        expired, left = {}, 0
        for name, model in self._models.items():
            before = now - model.monitors.label_horizon_s
            left += self._runs.prune(tx, name, before=before)
            expired[name] = keys.expire(tx, name, before=before)
            counters.add(tx, name, {("joins", "expired"): expired[name]})
            if name in self._pending:
                self._pending[name].n_waiting = n_waiting(tx, name)
        self._is_pruned = left == 0
        return expired

    @property
    def is_pruned(self) -> bool:
        """Whether the last `prune` left nothing to forget."""
        return self._is_pruned

    # -- reading

    def _heal(self, tx: Connection) -> None:
        """Start again from the ledger when memory is not what it says: at the start, and after a transaction that failed.

        Runs of keys are compared each time: whether a transaction came through is not always told (a database that went away).
        """
        marks = marks_of(tx)
        commits = marks.get("commits", Mark(0, 0)).offset
        self._runs.sync(tx, list(self._models))
        if commits == self._commits:
            return
        self._commits = commits
        self._mark, self._fresh_from = marks.get("spool", Mark(0, 0)), marks.get("pulled", Mark(0, 0))
        self._counts.clear()
        if self._embeddings is not None:
            self._embeddings.forget()
        self._pending = {
            name: Pending(closed=newest_pane(tx, model), n_waiting=n_waiting(tx, name)) for name, model in self._models.items()
        }

    def _look_at_clock(self, tx: Connection, now: float) -> None:
        """A pane that ends after the service's own clock was closed by a clock that was ahead: it counts as not closed.

        Otherwise all that comes would be late until the clock is there again. Parts of a pane are numbered, so that its records of both
        times stand beside each other.
        """
        for name, pending in self._pending.items():
            model = self._models[name]
            ends_at = (pending.closed + 1) * model.monitors.pane_s if pending.closed is not None else now
            if ends_at > now:
                pending.closed = newest_pane(tx, model, until=now)
                self.set_back[name] = ends_at - now
                log.warning("clock.set_back", model=name, ahead_s=round(ends_at - now, 3))

    def _take(self, tx: Connection, batch: list[tuple[Entry, Mark]]) -> None:
        """Sort the items of some entries into buffers; drops are counted."""
        records: dict[str, list[Item[Any]]] = defaultdict(list)
        labels: dict[str, list[Item[Any]]] = defaultdict(list)
        for entry, first in batch:
            is_fresh = first >= self._fresh_from
            is_labels = entry.kind.name == "LABELS"
            into = labels if is_labels else records
            try:
                items = labels_in(self._feed.parse_labels(entry.payload)) if is_labels else records_in(entry)
            except ValueError as e:
                log.error("intake.unreadable", n=entry.n, error=str(e)[:200])  # noqa: TRY400 (the payload's text is no traceback)
                self._counts[""]["labels" if is_labels else "records", "unreadable"] += entry.n if is_fresh else 0
                continue
            for item, at in items:
                into[item.model].append(Item(item, keys.key_of(item.id), at, entry.received_at, first, is_fresh))
            self._mark = Mark(*entry.mark)
        for name, found in records.items():
            if (model := self._accepted(name, found, "records")) is not None:
                known = set(self._runs.recorded(tx, name, [item.key for item in found]))
                sort_records(found, self._pending[name], known, self._counts[name], model=model, included=self._feed.included)
        for name, found in labels.items():
            if self._accepted(name, found, "labels") is not None:
                known = set(keys.labelled(tx, name, [item.key for item in found]))
                sort_labels(found, self._pending[name], known, self._counts[name])
        if batch:
            self._mark = Mark(*batch[-1][0].mark)

    def _accepted(self, name: str, items: Sequence[Item[Any]], what: str) -> ModelSettings | None:
        """Whose they are; None = a model that the settings do not name any more."""
        count, n_fresh = self._counts[name], sum(item.is_fresh for item in items)
        count["accepted", what] += n_fresh
        if name not in self._models:
            count[what, "unknown_model"] += n_fresh
        return self._models.get(name)

    def _build_ahead(self, tx: Connection) -> None:
        for name, pending in self._pending.items():
            for index, buffer in pending.buffers.items():
                build_ahead(tx, self._models[name], self._builder, index, buffer)

    # -- closing

    def _due(self, now: float, champions: Mapping[str, Reign]) -> Iterator[ClosedPane]:
        until = min(now, self._until)
        work = [
            (index, name, late)
            for name in self._pending
            for index, late in self._pending[name].closable(self._models[name].monitors, until, now=now, future_s=self._future_s)
        ]
        waiting: set[str] = set()  # models whose next pane waits for its vectors: theirs stay in order
        for index, name, late in sorted(work):
            model, pending = self._models[name], self._pending[name]
            embedded = self._embedded(name, index, late, is_first=name not in waiting)
            if embedded is None:
                waiting.add(name)
                continue
            close_at = (index + 1) * model.monitors.pane_s + model.monitors.watermark_s
            labels = pending.labels_due(close_at, {i for i in (*late, index) if i in pending.buffers}, now)
            with self._ledger.read() as tx:
                closing = Closing(tx, model, self._builder, self.log, self._runs, champion=champions.get(name))
                pane = closing.close(pending, index, late, labels, embedded)
            yield pane

    def _merge(self) -> None:
        self._runs.settle(self._ledger, {name: model.monitors.label_horizon_s for name, model in self._models.items()})

    def _embedded(self, name: str, index: int, late: tuple[int, ...], *, is_first: bool) -> tuple[Embedded, ...] | None:
        """Vectors of a pane's texts; None: it waits for them, or for a pane before it. Nothing waits when memory is full."""
        if self._embeddings is None:
            return ()
        buffers = [b for i in (*late, index) if (b := self._pending[name].buffers.get(i)) is not None]
        if is_first:
            return self._embeddings.of(name, index, buffers, may_wait=self._is_complete)
        if self._embeddings.has_room(name):
            self._embeddings.ask(name, index, buffers)
        return None

    def _write_marks(self, tx: Connection, spool: Mark) -> None:
        marks = {"spool": spool, "pulled": max(self._mark, self._fresh_from), "commits": Mark(0, self._commits)}
        upsert(tx, tables.mark, [{"name": name, "segment": m.segment, "offset": m.offset} for name, m in marks.items()])


def spool_mark(tx: Connection) -> Mark:
    """Everything before it is in committed panes."""
    return marks_of(tx).get("spool", Mark(0, 0))
