"""What a person asks for over HTTP, carried out in ledger transactions; the tick does the rest."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.absorb import Absorb
from daemon.act import operate
from daemon.show.operations import Done
from daemon.show.snapshot import snapshot
from daemon.show.wire import iso
from daemon.store import controls, judgements
from daemon.store.runs import Run
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from daemon.pipeline import Pipeline
    from daemon.settings import ModelSettings
    from daemon.show.views import Snapshot
    from daemon.store.judgements import Judged


class ByPerson:
    """`daemon.show.operations.Operations` over the pipeline. Safe from any thread: the ledger's transactions are the lock."""

    def __init__(self, pipeline: Pipeline, now: Callable[[], float] = time.time) -> None:
        self._pipeline, self._now = pipeline, now
        self._one_reference = threading.Lock()  # a reference takes memory and a folder: one is written at a time

    def snapshot(self) -> Snapshot:
        """The newest one, with fresh health."""
        shown = self._pipeline.shown
        if shown is None:
            with self._pipeline.ledger.read() as tx:
                return snapshot(tx, self._pipeline.settings, self._now(), self._pipeline.health())
        return replace(shown, health=self._pipeline.health())

    def retrain(self, model: str, *, by: str, because: str) -> Done:
        """Plan a run now."""

        def ask(tx: Connection, now: float) -> Done:
            run = operate.retrain(tx, self._pipeline.runs, self._model(model), by=by, because=because, now=now)
            return Done(model=model, what=f"run {run.id} is planned", run=run.id)

        return self._done(ask)

    def approve(self, model: str, *, run: str | None, by: str, because: str) -> Done:
        """Let a waiting run go on."""

        def ask(tx: Connection, now: float) -> Done:
            found = operate.approve(tx, self._model(model).name, run=run, by=by, because=because, now=now)
            return Done(model=model, what=f"run {found.id} is approved by {by}", run=found.id, version=found.version)

        return self._done(ask)

    def cancel(self, model: str, *, run: str | None, by: str, because: str) -> Done:
        """End a run that waits."""

        def ask(tx: Connection, now: float) -> Done:
            found = operate.cancel(tx, self._model(model).name, run=run, by=by, because=because, now=now)
            return Done(model=model, what=f"run {found.id} is cancelled by {by}", run=found.id, version=found.version)

        return self._done(ask)

    def promote(self, model: str, *, version: str | None, by: str, because: str) -> Done:
        """Promote a version that may be promoted."""

        def ask(tx: Connection, now: float) -> Done:
            found = operate.promote(tx, self._model(model).name, version=version, by=by, because=because, now=now)
            if isinstance(found, Run):
                return Done(model=model, what=f"run {found.id} may promote version {found.version}", run=found.id, version=found.version)
            return Done(model=model, what=f"version {found.version} is champion", version=found.version)

        return self._done(ask)

    def rollback(self, model: str, *, version: str | None, by: str, because: str) -> Done:
        """Back to an earlier champion."""

        def ask(tx: Connection, now: float) -> Done:
            found = operate.rollback(tx, self._model(model).name, version=version, by=by, because=because, now=now)
            return Done(model=model, what=f"version {found.version} is champion again", version=found.version)

        return self._done(ask)

    def absorb(self, model: str, *, incident: str | None, force: bool, by: str, because: str) -> Done:
        """What alarms is normal now."""
        of = self._model(model)
        with self._one_reference:
            now = self._now()
            new, said = self._references(of).absorb(incident, by=by, because=because, is_forced=force, now=now)
        self._pipeline.show(now)
        return Done(model=model, what=f"{said}; epoch {new.epoch}; undone by: retuned absorb {model} --undo", version=new.version)

    def restore(self, model: str, *, epoch: int | None, by: str, because: str) -> Done:
        """It is not, after all."""
        of = self._model(model)
        with self._one_reference:
            now = self._now()
            new, said = self._references(of).undo(epoch, by=by, because=because, now=now)
        self._pipeline.show(now)
        what = f"the earlier reference of {model} is back, in epoch {new.epoch}{'; ' if said else ''}{said}"
        return Done(model=model, what=what, version=new.version)

    def pause(self, model: str | None, *, by: str, because: str) -> Done:
        """Stop everything automatic."""
        return self._each(model, controls.pause, "paused", by=by, because=because)

    def resume(self, model: str | None, *, by: str, because: str) -> Done:
        """Go on."""
        return self._each(model, controls.resume, "resumed", by=by, because=because)

    def acknowledge(self, incident: str, *, by: str, because: str) -> Done:
        """Somebody is on it."""

        def ask(tx: Connection, now: float) -> Done:
            kept = judgements.acknowledge(tx, incident, by=by, because=because, now=now)
            return Done(model=kept.model, what=f"incident {kept.id} is acknowledged by {by}", incident=kept.id)

        return self._done(ask)

    def mute(self, incident: str, *, until: float, by: str, because: str) -> Done:
        """Tell nobody until then."""

        def ask(tx: Connection, now: float) -> Done:
            kept = judgements.mute(tx, incident, until=until, by=by, because=because, now=now)
            return Done(model=kept.model, what=f"incident {kept.id} is muted until {iso(until)}", incident=kept.id)

        return self._done(ask)

    def judge(self, incident: str, *, judged: Judged, replaces: Judged | None, by: str, because: str) -> Done:
        """Say what it was, and close it."""

        def ask(tx: Connection, now: float) -> Done:
            kept = judgements.judge(tx, incident, judged, replaces=replaces, by=by, because=because, now=now)
            return Done(model=kept.model, what=f"incident {kept.id} is closed, judged {judged} by {by}", incident=kept.id)

        return self._done(ask)

    def _references(self, model: ModelSettings) -> Absorb:
        return Absorb(self._pipeline.ledger, model, self._pipeline.settings.data_dir)

    def _each(self, model: str | None, say: Callable[..., None], what: str, *, by: str, because: str) -> Done:
        names = [self._model(model).name] if model is not None else [m.name for m in self._pipeline.settings.models]

        def ask(tx: Connection, now: float) -> Done:
            for name in names:
                say(tx, name, by=by, because=because, now=now)
            return Done(model=model or "all", what=f"{', '.join(names)}: {what}")

        return self._done(ask)

    def _done(self, ask: Callable[[Connection, float], Done]) -> Done:
        """One transaction, then the snapshot shows it."""
        now = self._now()
        with self._pipeline.ledger.begin() as tx:
            done = ask(tx, now)
        self._pipeline.show(now)
        return done

    def _model(self, name: str) -> ModelSettings:
        found = self._pipeline.settings.model(name)
        if found is None:
            raise Permanent(Reason.NOT_FOUND, f"no model {name!r}")
        return found
