"""Delivers what the ledger has decided: each message until it succeeds or never can. The one place that retries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.store import outbox
from daemon.store.damage import BROKEN, said
from daemon.store.ledger import note
from daemon.store.objects import Damaged
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.store.ledger import Ledger
    from daemon.store.outbox import Message

_MOST_TRIED = 100
"""Of one tick: each takes a transaction, and what is around it."""


@dataclass(frozen=True)
class Unfinished:
    """A handler started something that goes on by itself: look again in `after_s` seconds."""

    after_s: float


@dataclass(kw_only=True)
class Deliverer:
    """Calls one handler a kind. Delivery is at least once: handlers repeat safely. A kind that fails does not stop the others."""

    ledger: Ledger
    handlers: Mapping[str, Callable[[Message, float], Unfinished | None]]
    failures: Counter[Reason] = field(default_factory=Counter)

    def deliver(self, now: float) -> int:
        """Everything that is due, oldest first; gives how many were delivered.

        All pages are looked at: what stands in line for a target that is down must not hide what came later.
        """
        n = tried = after = 0
        while tried < _MOST_TRIED:
            with self.ledger.read() as tx:
                messages = outbox.due(tx, now, after=after)
            if not messages:
                break
            after = messages[-1].id
            for message in messages:
                is_done = self._one(message, now)
                n, tried = n + bool(is_done), tried + (is_done is not None)
        return n

    def _one(self, message: Message, now: float) -> bool | None:
        """Whether it was delivered; None: it goes on by itself."""
        try:
            unfinished = self._handled(message, now)
        except Transient as e:
            self.failures[e.reason] += 1
            with self.ledger.begin() as tx:
                outbox.failed(tx, message, now=now, error=str(e), retry_after_s=e.retry_after_s)
            return False
        except Permanent as e:
            self.failures[e.reason] += 1
            with self.ledger.begin() as tx:
                outbox.given_up(tx, message, now=now, error=str(e))
                note(tx, now, message.model, "outbox.given_up", key=message.key, reason=e.reason.value, detail=e.detail[:500])
            return False
        if unfinished is not None and unfinished.after_s <= 0.0:
            return None  # it is due as it stands
        with self.ledger.begin() as tx:
            if unfinished is not None:
                outbox.later(tx, message.id, at=now + unfinished.after_s)
                return None
            outbox.done(tx, message.id, now=now)
        return True

    def _handled(self, message: Message, now: float) -> Unfinished | None:
        if isinstance(message.payload, Damaged):
            raise Permanent(Reason.BAD_DATA, "what the message was to say is no JSON object in the ledger")
        try:
            return self.handlers.get(message.kind, _nobody)(message, now)
        except OSError as e:  # a full disk under one message must not hold up the others
            raise Transient(Reason.UNAVAILABLE, str(e)) from e
        except BROKEN as e:  # neither must one that says less than it should
            raise Permanent(Reason.BAD_DATA, said(e)) from e


def _nobody(message: Message, _now: float) -> Unfinished | None:
    raise Permanent(Reason.NOT_FOUND, f"nobody delivers {message.kind!r}")
