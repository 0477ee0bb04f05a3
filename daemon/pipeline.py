"""The whole flow on one page: capture → store → decide → act, show beside it.

    capture → sample → record log ─┬→ panes → window ─→ detectors → verdicts ─→ policy → decision
                   labels, by id ──┘                                              │
        Prometheus ← exporter ← ledger (append-only truth) ←──────────────────────┤
                                                                                  ▼
        registry alias ← gates ← evaluation ← candidate ← trainer ← data set ← plan

`tick` is called by one thread. Every step ends in a ledger transaction, so a crash between two steps repeats the second and loses nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.decide import policy
from daemon.judge import Judge
from daemon.show.snapshot import snapshot
from daemon.show.views import Health
from daemon.store import champions, controls

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.act.aliases import Aliases
    from daemon.act.outbox import Deliverer
    from daemon.act.runs import Runs
    from daemon.settings import ModelSettings, Settings
    from daemon.show.views import Snapshot
    from daemon.store.intake import Intake
    from daemon.store.ledger import Ledger


@dataclass(kw_only=True)
class Pipeline:
    """Everything wired; `daemon.wiring` builds it, `daemon.service` and `daemon.replay` tick it."""

    settings: Settings
    ledger: Ledger
    intake: Intake
    judge: Judge
    runs: Runs
    outbox: Deliverer
    aliases: Aliases
    health: Callable[[], Health]
    shown: Snapshot | None = None
    ticks: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def tick(self, now: float) -> None:
        """One look at everything, oldest data first."""
        self.aliases.reconcile(now)  # who is champion: adopted, re-asserted, or moved by a person
        self.intake.pull(now)  # capture → sample
        for pane in self.intake.due(now, self._champions()):  # labels, by id, join here
            with self.ledger.begin() as tx:
                self.intake.commit(tx, pane)  # record log and panes
                self.judge.fold(tx, pane, now)  # sequential detectors → verdicts → incident
        self.intake.release()
        for model in self.settings.models:
            self._decide(model, now)
        self.outbox.deliver(now)  # registry aliases, reports, notifications
        self.show(now)

    def _decide(self, model: ModelSettings, now: float) -> None:
        """Window → verdicts → policy → decision → the next step of the run."""
        with self.ledger.begin() as tx:
            decision = self.judge.decide(tx, model, now)
            if isinstance(decision, policy.Retrain):
                self.runs.plan(tx, model, decision, now)
        self.runs.advance(model, now)
