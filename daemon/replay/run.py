"""Recorded traffic through the very same pipeline on a virtual clock: when would it have alarmed and retrained?

The clock follows the records' `at`: a record arrives at that instant, a label at its own. What is around the pipeline is quiet
(`daemon.replay.world`): no registry, no training, no delivery. Recorded answers are the old model's: after a would-be retraining the
recording goes on as it was.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import event, select

from daemon.capture.frames import EntryKind
from daemon.capture.sampling import included
from daemon.capture.wire import parse_labels
from daemon.judge import Judge
from daemon.learn import Learner
from daemon.pipeline import Pipeline
from daemon.replay.read import Recording
from daemon.replay.world import KeptAll, ListedRuns, MemorySpool, NoRegistry, Traffic, Undelivered
from daemon.show.views import Health
from daemon.show.wire import iso, to_wire
from daemon.store import counters, incidents, tables, verdicts
from daemon.store.embed.encoders import Encoders
from daemon.store.embed.panes import Embeddings
from daemon.store.embed.references import References
from daemon.store.intake import Intake
from daemon.store.ledger import Ledger
from daemon.store.panes import Windows
from daemon.store.ports import Feed
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from daemon.replay.read import Line
    from daemon.settings import ModelSettings, Settings

GAP_S = 3600.0
"""Where the recording is silent the clock goes in steps of this."""

_SALT = b"replay"
"""Sampling of a replay is repeatable and tells nothing about the service's own."""


def _silent(_now: float, _n: int) -> None:
    """Nobody watches."""


class Replay(Pipeline):
    """The pipeline itself; only its snapshot is left out, for nobody looks, and every model follows the traffic that was recorded."""

    def follows_traffic(self, model: ModelSettings) -> bool:  # noqa: ARG002 (as the service asks)
        """What was promoted then answers from then on."""
        return True

    def show(self, now: float) -> None:
        """Nothing to show while it runs."""


def replay(
    settings: Settings, records: Path, labels: Path | None, out: Path, *, progress: Callable[[float, int], None] = _silent
) -> dict[str, Any]:
    """Run it; writes and gives `summary.json`; `progress` is told the clock and the records so far at every tick.

    `Permanent(BAD_DATA)` when a file cannot be read or holds no usable record.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".replay-", dir=out) as folder:
        work = Path(folder)
        kept = settings.model_copy(update={"data_dir": work, "ledger": None})
        recording = Recording(records, labels, models={m.name for m in settings.models}, work=work)
        ledger = _ledger(work)
        try:
            summary = _Player(kept, ledger, progress).play(recording)
        finally:
            ledger.close()
    (out / "summary.json").write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


class _Player:
    """The clock and what it drives."""

    def __init__(self, settings: Settings, ledger: Ledger, progress: Callable[[float, int], None]) -> None:
        self._settings, self._ledger, self._progress = settings, ledger, progress
        spool = MemorySpool()
        self._traffic = Traffic(spool, {m.monitors.pane_s for m in settings.models})
        self._runs = ListedRuns()
        self._encoders = Encoders(settings.models)
        self._pipeline = _pipeline(settings, ledger, spool, self._runs, encoders=self._encoders)
        self._confirm = max((m.retrain.confirm_ticks for m in settings.models if m.retrain), default=1)

    def play(self, recording: Recording) -> dict[str, Any]:
        """From the first record to the last pane."""
        try:
            first_at, last_at = self._run(recording.lines())
        finally:
            self._encoders.close()
            self._pipeline.intake.close()
        with self._ledger.read() as tx:
            return self._summary(tx, recording, first_at, last_at)

    def _run(self, lines: Iterator[Line]) -> tuple[float, float]:
        """Lines in, ticks between them; gives the time of the first and the last line."""
        first = next(lines)
        first_at = at = first.at
        tick_at = self._next_close(at)
        for line in chain([first], lines):
            at = line.at
            while at >= tick_at:
                self._tick(tick_at)
                tick_at = self._following(tick_at, at)
            self._traffic.feed(line)
        while tick_at <= self._end(at):
            self._tick(tick_at)
            tick_at = self._next_close(tick_at)
        return first_at, at

    def _tick(self, now: float) -> None:
        """As the service would: at the time when panes close, and while an incident is open so often that a trigger can be confirmed."""
        self._traffic.flush()
        self._progress(now, self._traffic.n[EntryKind.RECORDS])
        self._pipeline.tick(now)
        for unread in self._pipeline.judge.unread.values():
            raise Permanent(Reason.BAD_DATA, unread.because)
        for troubles in self._pipeline.apart.troubles.values():
            raise Permanent(Reason.BAD_DATA, troubles[0])
        if self._confirm > 1 and self._has_incident():
            step_s = min(self._settings.tick_s, (self._next_close(now) - now) / self._confirm)
            for i in range(1, self._confirm):
                self._pipeline.tick(now + i * step_s)

    def _has_incident(self) -> bool:
        with self._ledger.read() as tx:
            return any(incidents.open_of(tx, m.name) for m in self._settings.models)

    def _next_close(self, after: float) -> float:
        """The first time after `after` at which a pane of some model closes."""
        closes = []
        for monitors in (m.monitors for m in self._settings.models):
            k = math.floor((after - monitors.watermark_s) / monitors.pane_s) + 1
            closes.append(k * monitors.pane_s + monitors.watermark_s)
        return min(closes)

    def _following(self, tick_at: float, at: float) -> float:
        """The next tick; of those before the next line (`at`) the last, and such as may change something."""
        wakes_at, following = self._wakes_at(tick_at), self._step(tick_at, at)
        while following < wakes_at and (after := self._step(following, at)) <= at:
            following = after
        return following

    def _step(self, tick_at: float, at: float) -> float:
        """To the next close; in a silence longer than `GAP_S` that step, once everything that came before is closed."""
        following = self._next_close(tick_at)
        silent = at - following > GAP_S and not self._pipeline.intake.n_pending
        return max(following, self._next_close(tick_at + GAP_S)) if silent else following

    def _wakes_at(self, now: float) -> float:
        """When a tick may change something though no line has come: none does where there is nothing to close and all models are calm."""
        pipeline = self._pipeline
        if not pipeline.intake.is_empty:
            return now
        return min(pipeline.prune_at, *(pipeline.judge.calm_until.get(m.name, now) for m in self._settings.models))

    def _end(self, last_at: float) -> float:
        """When the pane of the last line is closed, and one more for labels that came after it."""
        return last_at + max(2.0 * m.monitors.pane_s + m.monitors.watermark_s for m in self._settings.models)

    def _summary(self, tx: Connection, recording: Recording, first_at: float, last_at: float) -> dict[str, Any]:
        names = [m.name for m in self._settings.models]
        pane = tables.pane.c
        return {
            "records": self._traffic.n[EntryKind.RECORDS],
            "labels": self._traffic.n[EntryKind.LABELS],
            "windows": len(tx.execute(select(pane.model, pane.start).distinct()).all()),
            "start": iso(first_at),
            "end": iso(last_at),
            "alarms": [self._alarm(row) for row in _events(tx, "alarm")],
            "incidents": [to_wire(asdict(i)) for name in names for i in reversed(incidents.incidents(tx, name, limit=1000))],
            "triggers": [to_wire(t) for t in self._runs.triggers],
            "decisions": [{"at": iso(e.at), "model": e.model, **e.data} for e in _events(tx, "decision") if e.data["decision"] != "hold"],
            "verdicts": [_verdict(name, v) for name in names for v in verdicts.latest(tx, name)],
            "counters": {name: _nested(counters.counters(tx, name)) for name in names},
            "skipped": _nested(recording.skipped),
            "first_error": recording.first_error or None,
        }

    def _alarm(self, row: Any) -> dict[str, Any]:  # noqa: ANN401 (a row)
        model: ModelSettings = next(m for m in self._settings.models if m.name == row.model)
        data = row.data
        said = {name: data[name] for name in ("subject", "detector", "value", "low", "high", "n", "because")}
        index = self._traffic.record_index(data["pane_end"], model.monitors.pane_s)
        return {"at": iso(data["pane_end"]), "told_at": iso(row.at), "model": row.model, "record_index": index, **said}


def _pipeline(settings: Settings, ledger: Ledger, spool: MemorySpool, listed: ListedRuns, *, encoders: Encoders) -> Pipeline:
    feed = Feed(
        read=spool.read,
        release=spool.release,
        parse_labels=parse_labels,
        included=lambda record_id, model, ratio: included(record_id, model, ratio, _SALT),
    )
    return Replay(
        settings=settings,
        ledger=ledger,
        intake=Intake(settings, ledger, feed, settings.data_dir, Embeddings(settings.models, encoders, salt=_SALT, is_patient=True)),
        learner=Learner(ledger, settings.data_dir),
        judge=Judge(settings, Windows(), References(encoders, settings.data_dir, is_patient=True)),
        runs=cast("Any", listed),  # stand-ins with the methods that the pipeline calls
        outbox=cast("Any", Undelivered(ledger)),
        aliases=cast("Any", NoRegistry()),
        keeper=cast("Any", KeptAll()),
        health=lambda: Health(started_at=0.0),
    )


def _ledger(folder: Path) -> Ledger:
    """A ledger for this run alone: nothing of it has to survive a crash."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    event.listen(ledger.engine, "connect", _no_sync)
    ledger.migrate()
    return ledger


def _no_sync(connection: Any, _record: Any) -> None:  # noqa: ANN401 (DB-API objects)
    connection.execute("PRAGMA synchronous=OFF")


def _events(tx: Connection, kind: str) -> list[Any]:
    """All events of a kind, oldest first."""
    return list(tx.execute(select(tables.event).where(tables.event.c.kind == kind).order_by(tables.event.c.id)))


def _verdict(model: str, stored: verdicts.StoredVerdict) -> dict[str, Any]:
    return {"model": model, "at": iso(stored.at), "epoch": stored.epoch, **verdicts.to_json(stored.verdict)}


def _nested(counts: Any) -> dict[str, dict[str, int]]:  # noqa: ANN401 (a mapping or a Counter of pairs)
    found: dict[str, dict[str, int]] = {}
    for (name, reason), n in sorted(counts.items()):
        if n:
            found.setdefault(name, {})[reason] = n
    return found
