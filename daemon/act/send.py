"""Sends messages to people through apprise, each target by a thread of its own: a slow mail server delays no tick and no other target.

At least once: what a target took is written down at the next tick, or when the service is stopped. Killed (-9) in between, the service
sends the few of that tick again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from daemon.act.outbox import Unfinished
from daemon.store import counters, outbox
from daemon.store.outbox import Sent
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

    from daemon.store.ledger import Ledger
    from daemon.store.outbox import Message

log = structlog.get_logger()

_NEXT_TICK = Unfinished(after_s=0.0)
_LINE_N = 20
"""Messages to one target of one tick: so many are sent again after a kill, at most."""
_TONES = {"info", "success", "warning", "failure"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where messages go. `name` is what may be shown: the rest of the URL may hold secrets."""

    id: str
    name: str
    url: SecretStr


def targets_of(urls: Iterable[SecretStr]) -> dict[str, Target]:
    """Id -> target. The id is a digest, so that an order or a removal changes nothing for the others."""
    found = {}
    for number, url in enumerate(urls, start=1):
        key = hashlib.blake2b(url.get_secret_value().encode(), digest_size=8).hexdigest()
        found[key] = Target(id=key, name=f"{url.get_secret_value().partition('://')[0][:32]} (target {number})", url=url)
    return found


def is_understood(target: Target) -> bool:
    """Whether apprise makes something of the URL; nothing is sent."""
    _keep_quiet()
    import apprise  # noqa: PLC0415 (0.5 s and 17 MB)

    return apprise.Apprise.instantiate(target.url.get_secret_value(), suppress_exceptions=True) is not None


def _keep_quiet() -> None:
    """Apprise's log lines may hold parts of the URL."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


@dataclass
class _Line:
    """Messages to one target on their way, one after the other in a daemon thread: one that hangs does not keep the process from ending."""

    target: Target
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[Message] = field(default_factory=deque)
    took: dict[int, bool] = field(default_factory=dict)
    """Message id -> whether it was taken; of those that were tried."""
    flying: int | None = None
    thread: threading.Thread | None = None

    def is_there(self, message_id: int) -> bool:
        """Whether it was put here before, and is not settled."""
        with self.lock:
            return message_id == self.flying or message_id in self.took or any(m.id == message_id for m in self.waiting)

    def put(self, message: Message) -> None:
        """At the end; a line that is long enough for one tick takes no more. What flies counts, too: or a later message took its place."""
        with self.lock:
            if len(self.waiting) + len(self.took) + (self.flying is not None) >= _LINE_N:
                return
            self.waiting.append(message)
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="notify", daemon=True)
                self.thread.start()

    def end(self, within_s: float) -> list[int]:
        """Nothing more is sent; ids of those that were taken."""
        with self.lock:
            self.waiting.clear()
            thread = self.thread
        if thread is not None:
            thread.join(within_s)
        with self.lock:
            return [message_id for message_id, took in self.took.items() if took]

    def _run(self) -> None:
        """The top of the thread. After a failure the others are not tried in vain: they come again with the next tick."""
        while True:
            with self.lock:
                if not self.waiting:
                    self.thread = None
                    return
                message = self.waiting.popleft()
                self.flying = message.id
            took = _fly(self.target, message.payload)
            with self.lock:
                self.took[message.id], self.flying = took, None
                if not took:
                    self.waiting.clear()


@dataclass(kw_only=True)
class Sender:
    """Outbox kind "send": payload {target, title, body, tone}. Used by the ticking thread; `close` when it has ended."""

    ledger: Ledger
    targets: Mapping[str, Target]
    retry_s: float
    """Given up after this."""
    _lines: dict[str, _Line] = field(default_factory=dict)

    def deliver(self, message: Message, now: float) -> Unfinished | None:
        """Put it in its target's line, or look whether it was taken."""
        target = self.targets.get(str(message.payload.get("target")))
        if target is None:
            raise self._given_up(Reason.NOT_FOUND, "its target is no longer in notify.urls")
        line = self._lines.setdefault(target.id, _Line(target))
        if not line.is_there(message.id):
            if now - message.created_at > self.retry_s:
                raise self._given_up(Reason.TIMEOUT, f"{target.name} did not take it within {self.retry_s / 3600.0:g} h")
            line.put(message)
            return _NEXT_TICK
        took = line.took.pop(message.id, None)
        if took is None:
            return _NEXT_TICK
        self._count(Sent.SENT if took else Sent.FAILED)
        if not took:
            raise Transient(Reason.UNAVAILABLE, f"{target.name} did not take it")
        return None

    def close(self, within_s: float, now: float) -> None:
        """Wait for what is on its way, not for ever, and write down what was taken."""
        for line in self._lines.values():
            for message_id in line.end(within_s / len(self._lines)):
                with self.ledger.begin() as tx:
                    outbox.done(tx, message_id, now=now)
                    counters.add(tx, "", {("notifications", Sent.SENT.value): 1})
        self._lines.clear()

    def _count(self, outcome: Sent) -> None:
        with self.ledger.begin() as tx:
            counters.add(tx, "", {("notifications", outcome.value): 1})

    def _given_up(self, reason: Reason, detail: str) -> Permanent:
        self._count(Sent.GIVEN_UP)
        return Permanent(reason, detail)


def _fly(target: Target, payload: Mapping[str, Any]) -> bool:
    """Whether it was taken. apprise bounds each connection and each read by seconds and says only whether it went well."""
    _keep_quiet()
    try:
        import apprise  # noqa: PLC0415 (at the first notification: 0.5 s and 17 MB)

        asset = apprise.AppriseAsset(app_id="retuned", app_desc="retuned")
        to = apprise.Apprise(asset=asset)
        tone = payload["tone"] if payload["tone"] in _TONES else "info"
        return bool(
            to.add(target.url.get_secret_value())
            and to.notify(
                title=payload["title"], body=payload["body"], notify_type=apprise.NotifyType(tone), body_format=apprise.NotifyFormat.TEXT
            )
        )
    except Exception as e:  # noqa: BLE001 (a plug-in's bug is a failed attempt; its words may hold the URL)
        log.warning("notify.failed", target=target.name, error=type(e).__name__)
        return False
