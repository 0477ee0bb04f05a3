"""Tells a person: a structured log line and an event in the ledger. Mail, chat and pagers are further handlers of the same outbox kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from daemon.store import counters
from daemon.store.ledger import note

if TYPE_CHECKING:
    from daemon.store.ledger import Ledger
    from daemon.store.outbox import Message

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Outbox kind "notify": payload {what, because, …}."""

    ledger: Ledger

    def deliver(self, message: Message, now: float) -> None:
        """Said once a message in the log; the event and the counter come with it."""
        what = str(message.payload.get("what", "alert"))
        with self.ledger.begin() as tx:
            note(tx, now, message.model, "alert", key=message.key, **{k: v for k, v in message.payload.items() if k != "key"})
            counters.add(tx, message.model, {("alerts", what[:32]): 1})
        log.warning("alert", model=message.model, at=now, **{k: v for k, v in message.payload.items() if k not in {"event", "model", "at"}})
