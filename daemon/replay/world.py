"""What stands around the pipeline in a replay: a spool in memory, and quiet stand-ins for the registry, trainings and deliveries."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daemon.capture.frames import Entry, EntryKind, Mark
from daemon.decide.run import State
from daemon.store import champions, counters, outbox, runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from daemon.decide.policy import Retrain
    from daemon.replay.read import Line
    from daemon.settings import ModelSettings
    from daemon.store.ledger import Ledger

_ENTRY_N = 1000


class MemorySpool:
    """The spool's reading side over a queue: as large as what the pipeline has not committed yet."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._n = 0

    def append(self, kind: EntryKind, lines: list[bytes], received_at: float) -> None:
        """One entry."""
        self._n += 1
        self._entries.append(Entry(kind, b"\n".join(lines), len(lines), received_at, Mark(1, self._n)))

    def read(self, after: Mark) -> Iterator[Entry]:
        """Entries after a mark."""
        yield from [entry for entry in self._entries if entry.mark > Mark(*after)]

    def release(self, before: Mark) -> None:
        """Forget what is in the ledger."""
        while self._entries and self._entries[0].mark <= Mark(*before):
            self._entries.popleft()


class Traffic:
    """Feeds lines into the spool, in entries of one kind and one pane."""

    def __init__(self, spool: MemorySpool, pane_s: set[float]) -> None:
        self._spool, self._pane_s = spool, sorted(pane_s)
        self._batch: list[Line] = []
        self.n: Counter[EntryKind] = Counter()
        self.by_pane: dict[float, Counter[int]] = {s: Counter() for s in self._pane_s}
        """pane_s -> pane index -> records in it: where in the recording a pane ends, in memory that grows with time only."""

    def feed(self, line: Line) -> None:
        """One line; it is in the spool after `flush`."""
        if self._batch and (line.kind != self._batch[0].kind or len(self._batch) >= _ENTRY_N or self._is_later_pane(line)):
            self.flush()
        self._batch.append(line)
        self.n[line.kind] += 1
        if line.kind is EntryKind.RECORDS:
            for pane_s, count in self.by_pane.items():
                count[int(line.at // pane_s)] += 1

    def flush(self) -> None:
        """What was fed so far can be read."""
        if self._batch:
            self._spool.append(self._batch[0].kind, [line.payload for line in self._batch], self._batch[-1].at)
            self._batch = []

    def record_index(self, end: float, pane_s: float) -> int:
        """Index, from 0 and in the order of `at`, of the last record before the end of a pane."""
        last = round(end / pane_s)
        return sum(n for index, n in self.by_pane[pane_s].items() if index < last) - 1

    def _is_later_pane(self, line: Line) -> bool:
        """An entry has one time of arrival: it must not stand for lines of another pane."""
        return line.at // self._pane_s[0] != self._batch[0].at // self._pane_s[0]


class NoRegistry:
    """In place of the registry: who answers is the champion."""

    def reconcile(self, now: float) -> None:
        """Nothing is there to differ."""


@dataclass
class ListedRuns:
    """In place of trainings: what would have started one is listed."""

    triggers: list[dict[str, Any]] = field(default_factory=list)

    def plan(self, tx: Connection, model: ModelSettings, decision: Retrain, now: float) -> None:
        """List it; in the ledger it is a run that failed, so that the policy goes on as after one that came to nothing."""
        trigger: dict[str, Any] = {
            "kind": str(decision.kind),
            "subject": decision.subject,
            "detector": decision.detector,
            "because": decision.because,
        }
        trigger |= {"at": decision.at, "incident": decision.incident}
        held = champions.champion(tx, model.name)
        version = held.version if held is not None else ""
        run_id = f"replay-{len(self.triggers) + 1}"
        runs.create(
            tx, run_id=run_id, model=model.name, trigger=trigger, champion_version=version, folder="", now=now, because=decision.because
        )
        runs.enter(tx, run_id, State.FAILED, expected=State.PLANNED, now=now, because="a replay trains nothing", ended=True)
        counters.add(tx, model.name, {("triggers", str(decision.kind)): 1})
        self.triggers.append({"model": model.name, **trigger, "at": now})

    def advance(self, model: ModelSettings, now: float) -> None:
        """No run goes anywhere."""


@dataclass
class Undelivered:
    """In place of the outbox's deliveries: everything counts as delivered, nothing leaves."""

    ledger: Ledger

    def deliver(self, now: float) -> None:
        """Tick off."""
        with self.ledger.begin() as tx:
            for message in outbox.due(tx, now):
                outbox.done(tx, message.id, now=now)


class KeptAll:
    """In place of retention: a replay's folder is gone when it ends."""

    def step(self, now: float) -> None:
        """Nothing goes."""
