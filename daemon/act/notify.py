"""Tells a person: an event in the ledger, a log line, and a message for each target of the settings, all decided in one transaction.

Each target has an outbox row of its own, which `daemon.act.send` delivers: a target that took its message is not asked again because
another one failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from daemon.act.message import compose
from daemon.store import counters, incidents, outbox
from daemon.store.ledger import note
from daemon.store.outbox import What
from detectors.types import digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from daemon.settings_service import Topic
    from daemon.store.ledger import Ledger
    from daemon.store.outbox import Message

log = structlog.get_logger()

_SAID = {"event", "model", "at", "figures"}


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Outbox kind "notify": payload {what, because, …}; its key says which incident and state, so each is told once."""

    ledger: Ledger
    targets: Collection[str] = ()
    """Ids of the targets (`daemon.act.send.targets_of`)."""
    topics: Collection[Topic] = ()
    url: str = ""
    """Where links begin."""

    def deliver(self, message: Message, now: float) -> None:
        """Repeated after a crash it asks no target twice: the keys of the messages are there already."""
        what = What.of(message.payload)
        with self.ledger.begin() as tx:
            note(tx, now, message.model, "alert", key=message.key, **{k: v for k, v in message.payload.items() if k != "key"})
            counters.add(tx, message.model, {("alerts", what.value): 1})
            if what.value.partition(".")[0] in self.topics and not _is_muted(tx, message.payload, now):
                self._ask(tx, message, now)
        log.warning("alert", model=message.model, at=now, **{k: v for k, v in message.payload.items() if k not in _SAID})

    def _ask(self, tx: Connection, message: Message, now: float) -> None:
        text = compose(message.model, message.payload, self.url)
        for target in self.targets:
            payload = {"target": target, "title": text.title, "body": text.body, "tone": text.tone}
            outbox.put(tx, key=f"send:{target}:{digest_of(message.key)}", model=message.model, kind="send", payload=payload, now=now)


def _is_muted(tx: Connection, payload: Mapping[str, object], now: float) -> bool:
    """A person muted the incident that it is about."""
    found = incidents.incident(tx, str(payload["incident"])) if payload.get("incident") else None
    return found is not None and (found.muted_until or 0.0) > now
