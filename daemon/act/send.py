"""Sends messages to people through apprise, each target by a thread of its own: a slow mail server delays no tick and no other target.

At least once: what a target took is written down at the next tick, or when the service is stopped. Killed (-9) in between, the service
sends that one message again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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


@dataclass(slots=True)
class _Flight:
    """One message on its way; the thread sets `took`."""

    message_id: int
    thread: threading.Thread | None = None
    took: bool = False


@dataclass(kw_only=True)
class Sender:
    """Outbox kind "send": payload {target, title, body, tone}. Used by the ticking thread; `close` when it has ended."""

    ledger: Ledger
    targets: Mapping[str, Target]
    retry_s: float
    """Given up after this."""
    _flights: dict[str, _Flight] = field(default_factory=dict)

    def deliver(self, message: Message, now: float) -> Unfinished | None:
        """Start it, look whether it is done, or wait for the one before: one message at a time for each target."""
        target = self.targets.get(str(message.payload.get("target")))
        if target is None:
            raise self._given_up(Reason.NOT_FOUND, "its target is no longer in notify.urls")
        flight = self._flights.get(target.id)
        if flight is None and now - message.created_at > self.retry_s:
            raise self._given_up(Reason.TIMEOUT, f"{target.name} did not take it within {self.retry_s / 3600.0:g} h")
        if flight is None:
            self._flights[target.id] = _start(target, message)
            return _NEXT_TICK
        if flight.message_id != message.id or (flight.thread is not None and flight.thread.is_alive()):
            return _NEXT_TICK
        del self._flights[target.id]
        self._count(Sent.SENT if flight.took else Sent.FAILED)
        if not flight.took:
            raise Transient(Reason.UNAVAILABLE, f"{target.name} did not take it")
        return None

    def close(self, within_s: float, now: float) -> None:
        """Wait for what is on its way, not for ever, and write down what was taken."""
        for flight in self._flights.values():
            if flight.thread is not None:
                flight.thread.join(within_s / len(self._flights))
            if flight.took:
                with self.ledger.begin() as tx:
                    outbox.done(tx, flight.message_id, now=now)
                    counters.add(tx, "", {("notifications", Sent.SENT.value): 1})
        self._flights.clear()

    def _count(self, outcome: Sent) -> None:
        with self.ledger.begin() as tx:
            counters.add(tx, "", {("notifications", outcome.value): 1})

    def _given_up(self, reason: Reason, detail: str) -> Permanent:
        self._count(Sent.GIVEN_UP)
        return Permanent(reason, detail)


def _start(target: Target, message: Message) -> _Flight:
    """A daemon thread: one that hangs does not keep the process from ending."""
    flight = _Flight(message.id)
    flight.thread = threading.Thread(target=_fly, args=(flight, target, dict(message.payload)), name="notify", daemon=True)
    flight.thread.start()
    return flight


def _fly(flight: _Flight, target: Target, payload: Mapping[str, str]) -> None:
    """The top of the thread. apprise bounds each connection and each read by seconds and says only whether it went well."""
    _keep_quiet()
    try:
        import apprise  # noqa: PLC0415 (at the first notification: 0.5 s and 17 MB)

        asset = apprise.AppriseAsset(app_id="retuned", app_desc="retuned")
        to = apprise.Apprise(asset=asset)
        tone = payload["tone"] if payload["tone"] in _TONES else "info"
        flight.took = bool(
            to.add(target.url.get_secret_value())
            and to.notify(
                title=payload["title"], body=payload["body"], notify_type=apprise.NotifyType(tone), body_format=apprise.NotifyFormat.TEXT
            )
        )
    except Exception as e:  # noqa: BLE001 (a plug-in's bug is a failed attempt; its words may hold the URL)
        log.warning("notify.failed", target=target.name, error=type(e).__name__)
