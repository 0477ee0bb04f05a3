"""The whole flow on one page: capture → store → decide → act, show beside it.

    capture → sample → record log ─┬→ panes → window ─→ detectors → verdicts ─→ policy → decision
                   labels, by id ──┘                                              │
        Prometheus ← exporter ← ledger (append-only truth) ←──────────────────────┤
                                                                                  ▼
        registry alias ← gates ← evaluation ← candidate ← trainer ← data set ← plan

`tick` is called by one thread. Every step ends in a ledger transaction, so a crash between two steps repeats the second and loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from daemon import telling
from daemon.decide import policy
from daemon.show.snapshot import snapshot
from daemon.store.apart import Apart
from daemon.store.by_traffic import adopt_by_traffic
from daemon.store.champions import reigns
from daemon.store.damage import BROKEN
from retrain.types import Permanent, Transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from daemon.act.aliases import Aliases
    from daemon.act.keeper import Keeper
    from daemon.act.outbox import Deliverer
    from daemon.act.runs import Runs
    from daemon.judge import Judge
    from daemon.learn import Learner
    from daemon.settings import ModelSettings, Settings
    from daemon.show.views import Health, Snapshot
    from daemon.store.closed import ClosedPane, Reign
    from daemon.store.intake import Intake
    from daemon.store.ledger import Ledger

log = structlog.get_logger()
_PRUNE_EVERY_S = 3600.0


@dataclass(kw_only=True)
class Pipeline:
    """Everything wired; `daemon.wiring` builds it, `daemon.service` and `daemon.replay.run` tick it."""

    settings: Settings
    ledger: Ledger
    intake: Intake
    learner: Learner
    judge: Judge
    runs: Runs
    outbox: Deliverer
    aliases: Aliases
    keeper: Keeper
    health: Callable[[], Health]
    apart: Apart = field(default_factory=Apart)
    shown: Snapshot | None = None
    prune_at: float = 0.0

    def tick(self, now: float) -> None:
        """One look at everything, oldest data first."""
        self._keep(now)
        try:
            self.aliases.reconcile(now)  # who is champion: adopted, re-asserted, or moved by a person
            self._take_in(now)
            for model in self.settings.models:
                with self.apart.of(model.name, "deciding"):
                    self._decide(model, now)
            self.outbox.deliver(now)  # registry aliases, reports, notifications
            self._prune(now)
            self.show(now)
        except BaseException:
            self.judge.forget()  # what it holds may be ahead of the ledger
            raise

    def _take_in(self, now: float) -> None:
        """Spool → record log and panes → sequential detectors → verdicts → incident."""
        self.intake.pull(now)  # capture → sample
        self._tell_clock(now)
        for model in self.settings.models:
            with self.apart.of(model.name, "learning a reference"):
                adopt_by_traffic(self.ledger, model.name, self.intake.versions(model.name), follows=self.follows_traffic(model))
                self.learner.learn(model, now)
        for pane in self.intake.due(now, self._champions()):  # labels, by id, join here
            with self.ledger.begin() as tx:
                self.intake.commit(tx, pane)
                self._judge(tx, pane, now)
        self.intake.release()

    def _judge(self, tx: Connection, pane: ClosedPane, now: float) -> None:
        """A pane that cannot be judged is stored all the same: records wait for nothing."""
        with self.apart.of(pane.model, "judging a pane"):
            try:
                with tx.begin_nested():
                    self.judge.fold(tx, pane, now)
            except BROKEN:
                self.judge.forget(pane.model)
                raise

    def follows_traffic(self, model: ModelSettings) -> bool:
        """Whose champion is whoever answers: of a model that is retrained the ledger says it."""
        return model.retrain is None

    def _tell_clock(self, now: float) -> None:
        """A clock that was set back is told: times of before lie in the future of those of after."""
        for model, ahead_s in self.intake.set_back.items():
            with self.ledger.begin() as tx:
                telling.tell_set_back(tx, model, ahead_s, now)
        self.intake.set_back.clear()

    def _decide(self, model: ModelSettings, now: float) -> None:
        """Window → verdicts → policy → decision → the next step of the run."""
        with self.ledger.begin() as tx:
            decision = self.judge.decide(tx, model, now)
            if isinstance(decision, policy.Retrain):
                self.runs.plan(tx, model, decision, now)
        self.runs.advance(model, now)

    def _prune(self, now: float) -> None:
        """Hourly, a part a tick: keys and labels beyond the label horizon are let go."""
        if now < self.prune_at:
            return
        with self.ledger.begin() as tx:
            self.intake.prune(tx, now)
        if self.intake.is_pruned:
            self.prune_at = now + _PRUNE_EVERY_S

    def _keep(self, now: float) -> None:
        """Retention, before anything else: a disk that is full stops what follows, and must not stop this."""
        try:
            self.keeper.step(now)
        except (OSError, SQLAlchemyError, Transient, Permanent, *BROKEN):
            log.exception("retention.failed")

    def show(self, now: float) -> None:
        """What the exporter, the API and the pages see, until the next tick."""
        before = self.shown
        with self.ledger.read() as tx:
            self.shown = snapshot(tx, self.settings, now, self.health())
        for model in self.shown.models:
            was = before.model(model.name) if before is not None else None
            for because in model.damaged:
                if was is None or because not in was.damaged:
                    log.error("ledger.damaged", model=model.name, because=because)

    def _champions(self) -> dict[str, Reign]:
        """Model -> its champion's version, and from when on records and answers of it count."""
        with self.ledger.read() as tx:
            return reigns(tx)
