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
from daemon.learn import learn
from daemon.show.snapshot import snapshot
from daemon.store import champions, panes
from daemon.store.champions import FROM_TRAFFIC
from retrain.types import Permanent, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.act.aliases import Aliases
    from daemon.act.keeper import Keeper
    from daemon.act.outbox import Deliverer
    from daemon.act.runs import Runs
    from daemon.judge import Judge
    from daemon.settings import ModelSettings, Settings
    from daemon.show.views import Health, Snapshot
    from daemon.store.closed import Reign
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
    judge: Judge
    runs: Runs
    outbox: Deliverer
    aliases: Aliases
    keeper: Keeper
    health: Callable[[], Health]
    shown: Snapshot | None = None
    prune_at: float = 0.0
    unlearnt: dict[str, str] = field(default_factory=dict)
    """Model -> why no reference can be learnt."""

    def tick(self, now: float) -> None:
        """One look at everything, oldest data first."""
        self._keep(now)
        try:
            self.aliases.reconcile(now)  # who is champion: adopted, re-asserted, or moved by a person
            while not self._take_in(now):
                pass
            for model in self.settings.models:
                self._decide(model, now)
            self.outbox.deliver(now)  # registry aliases, reports, notifications
            self._prune(now)
            self.show(now)
        except BaseException:
            self.judge.forget()  # what it holds may be ahead of the ledger
            raise

    def _take_in(self, now: float) -> bool:
        """Spool → record log and panes → sequential detectors → verdicts → incident; False: there is more."""
        pulled = self.intake.pull(now)  # capture → sample
        self._tell_clock(now)
        self._name_champions()
        for model in self.settings.models:
            self._learn(model, now)
        for pane in self.intake.due(now, self._champions()):  # labels, by id, join here
            with self.ledger.begin() as tx:
                self.intake.commit(tx, pane)
                self.judge.fold(tx, pane, now)
        with self.ledger.begin() as tx:
            self.intake.advance(tx)
        self.intake.release()
        return pulled.is_complete

    def _tell_clock(self, now: float) -> None:
        """A clock that was set back is told: times of before lie in the future of those of after."""
        for model, ahead_s in self.intake.set_back.items():
            with self.ledger.begin() as tx:
                telling.tell_set_back(tx, model, ahead_s, now)
        self.intake.set_back.clear()

    def _learn(self, model: ModelSettings, now: float) -> None:
        """A file of the log that is gone keeps its own model from a reference, and no other one from being watched."""
        try:
            learn(self.ledger, model, self.settings.data_dir, now)
        except (Permanent, OSError) as e:
            if self.unlearnt.get(model.name) != str(e):  # the same trouble is told once
                log.error("reference.not_learnt", model=model.name, because=str(e))  # noqa: TRY400 (a sentence, no bug)
            self.unlearnt[model.name] = str(e)
        else:
            self.unlearnt.pop(model.name, None)

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
        except (OSError, SQLAlchemyError, Transient, Permanent):
            log.exception("retention.failed")

    def show(self, now: float) -> None:
        """What the exporter, the API and the pages see, until the next tick."""
        with self.ledger.read() as tx:
            self.shown = snapshot(tx, self.settings, now, self.health())

    def _champions(self) -> dict[str, Reign]:
        """Model -> its champion's version, and from when on records and answers of it count."""
        with self.ledger.read() as tx:
            return champions.reigns(tx)

    def _name_champions(self) -> None:
        """A model that nobody registered is the version that answers (docs/decisions/0004)."""
        for model in self.settings.models:
            versions = self.intake.versions(model.name)
            if not versions:
                continue
            with self.ledger.begin() as tx:
                held = champions.champion(tx, model.name)
                if held is None:
                    version, (first_at, _) = max(versions.items(), key=lambda item: item[1][1])
                    champions.adopt(tx, model.name, version, now=first_at, because=FROM_TRAFFIC)
                elif model.retrain is None and held.version not in versions and champions.is_from_traffic(tx, held):
                    new = champions.follower(_joined(panes.since_version(tx, model.name, held.version), versions))
                    if new is not None:
                        champions.adopt(tx, model.name, new[0], now=new[1], because=FROM_TRAFFIC)


def _joined(earlier: Mapping[str, tuple[float, int]], later: Mapping[str, tuple[float, int]]) -> dict[str, tuple[float, int]]:
    """Version -> (first at, records) of both."""
    found = {version: (first_at, n + later.get(version, (0.0, 0))[1]) for version, (first_at, n) in earlier.items()}
    return {**later, **found}
