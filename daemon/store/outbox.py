"""What has to be done outside because of a fact in the ledger: written with the fact, delivered at least once, retried with backoff."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from daemon.store import tables
from daemon.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_t = tables.outbox
_KEY_CHARS = 160
BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 300.0
WAIT_MOST_S = 3600.0
"""Nothing waits longer, whatever whoever refused it says."""


class What(StrEnum):
    """What people are told of; the metric's label."""

    INCIDENT_OPENED = "incident.opened"
    INCIDENT_HARMFUL = "incident.harmful"
    INCIDENT_UNFAIR = "incident.unfair"
    INCIDENT_BENIGN = "incident.benign"
    INCIDENT_CLOSED = "incident.closed"
    RUN_FAILED = "run.failed"
    RUN_INVALID = "run.invalid"
    RUN_AWAITING_APPROVAL = "run.awaiting_approval"
    RUN_PROMOTED = "run.promoted"
    RUN_ROLLED_BACK = "run.rolled_back"
    RUN_KEPT = "run.kept"
    RUN_REJECTED = "run.rejected"
    RUN_INCONCLUSIVE = "run.inconclusive"
    RUN_CANCELLED = "run.cancelled"
    REFERENCE_ABSORBED = "reference.absorbed"
    REFERENCE_RESTORED = "reference.restored"
    REFERENCE_LEARNT = "reference.learnt"
    BLIND = "blind"
    BLIND_OVER = "blind.over"
    BLIND_CLOCK = "blind.clock"
    ADVICE = "advice"
    ALIAS = "alias"

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> What:
        """Of a "notify" message; one of an older release that says none of these is advice."""
        return next((what for what in cls if what == payload.get("what")), cls.ADVICE)


class Sent(StrEnum):
    """What became of an attempt to notify a person; the metric's label."""

    SENT = "sent"
    FAILED = "failed"
    """Tried again."""
    GIVEN_UP = "given_up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One row of the outbox."""

    id: int
    key: str
    model: str
    kind: str
    """aliases | notify | send | report."""
    payload: dict[str, Any]
    created_at: float
    done_at: float | None
    attempts: int
    next_at: float
    error: str | None


def put(tx: Connection, *, key: str, model: str, kind: str, payload: Mapping[str, Any], now: float) -> bool:
    """Add a message once: False when the key was there already."""
    row = {"key": key, "model": model, "kind": kind, "payload": dict(payload), "created_at": now, "attempts": 0, "next_at": now}
    return insert_new(tx, _t, row, key="key")


def tell(tx: Connection, what: What, *, model: str, key: str, because: str, now: float, **more: object) -> bool:
    """A person is to be told, once a key; `more` goes into the message (`daemon.act.message.compose`)."""
    payload = {"what": what.value, "because": because, **more}
    return put(tx, key=f"notify:{key}"[:_KEY_CHARS], model=model, kind="notify", payload=payload, now=now)


def due(tx: Connection, now: float, *, after: int = 0, limit: int = 100) -> list[Message]:
    """Undelivered messages whose time has come, oldest first; `after`: the id of the last one seen, for the next page.

    A time further ahead than any wait is of a clock that was set back since.
    """
    is_time = (_t.c.next_at <= now) | (_t.c.next_at > now + WAIT_MOST_S)
    query = select(_t).where(_t.c.done_at.is_(None), is_time, _t.c.id > after).order_by(_t.c.id).limit(limit)
    return [Message(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 (SQLAlchemy's API)


def pending(tx: Connection, *, model: str | None = None, kind: str | None = None) -> list[Message]:
    """All undelivered messages, oldest first: their age is the lag that the exporter shows."""
    query = select(_t).where(_t.c.done_at.is_(None))
    if model is not None:
        query = query.where(_t.c.model == model)
    if kind is not None:
        query = query.where(_t.c.kind == kind)
    return [Message(**row._mapping) for row in tx.execute(query.order_by(_t.c.id).limit(1000))]  # noqa: SLF001 (SQLAlchemy's API)


def done(tx: Connection, message_id: int, *, now: float) -> None:
    """Delivered."""
    tx.execute(update(_t).where(_t.c.id == message_id).values(done_at=now, attempts=_t.c.attempts + 1, error=None))


def later(tx: Connection, message_id: int, *, at: float) -> None:
    """Goes on by itself: looked at again then; no attempt has failed."""
    tx.execute(update(_t).where(_t.c.id == message_id).values(next_at=at))


def failed(tx: Connection, message: Message, *, now: float, error: str, retry_after_s: float | None = None) -> float:
    """Not delivered: tried again later (doubling from 1 s to 5 minutes, or as told); gives the time of the next try."""
    doubled_s = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0 ** min(message.attempts, 30))
    wait_s = doubled_s if retry_after_s is None else min(WAIT_MOST_S, retry_after_s)
    values = {"attempts": message.attempts + 1, "next_at": now + wait_s, "error": error[:1000]}
    tx.execute(update(_t).where(_t.c.id == message.id).values(values))
    return now + wait_s


def given_up(tx: Connection, message: Message, *, now: float, error: str) -> None:
    """Will never be delivered (a Permanent failure): closed with its error."""
    values = {"attempts": message.attempts + 1, "done_at": now, "error": error[:1000]}
    tx.execute(update(_t).where(_t.c.id == message.id).values(values))
