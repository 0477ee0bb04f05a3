"""What the demo sees of the service: GET /v1/models/NAME, asked again and again, and what changed between two answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMOTED = frozenset({"promoted", "watching", "kept"})
"""Run states in which the candidate is champion."""
ENDED = PROMOTED | {"rolled_back", "rejected", "inconclusive", "awaiting_approval", "invalid", "failed", "cancelled"}
"""Run states in which the demo need not wait for the run any longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """The first alarm of one detector about one subject in one incident."""

    at: float
    epoch: int
    detector: str
    subject: str
    because: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """A run went into a state."""

    at: float
    run: str
    state: str
    because: str


@dataclass(kw_only=True)
class Watcher:
    """Polls one model; a service that is busy for a moment leaves the last answer standing."""

    model: str
    service: httpx.Client
    every_s: float = 0.5
    seen: dict[str, Any] = field(default_factory=dict)
    """The newest answer."""
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Event id -> event, all that were ever seen."""
    evidence: dict[tuple[str, str, int], list[tuple[float, float]]] = field(default_factory=dict)
    """(detector, subject, epoch) -> (seconds since the epoch, log10 evidence as a share of its limit)."""
    first_epoch: int = 0
    """Number of the epoch in which the demo began; 0 while unknown."""
    _polled_at: float = 0.0

    def poll(self, now: float) -> list[dict[str, Any]]:
        """Events that are new since the last poll, oldest first."""
        if now - self._polled_at < self.every_s:
            return []
        self._polled_at = now
        try:
            answer = self.service.get(f"/v1/models/{self.model}")
            answer.raise_for_status()
            self.seen = answer.json()
        except httpx.HTTPError:
            return []
        self.first_epoch = self.first_epoch or int((self.seen.get("epoch") or {}).get("epoch", 0))
        for verdict in self.seen.get("verdicts", ()):
            self._note(verdict, now)
        new = {event["id"]: event for event in self.seen.get("events", ()) if event["id"] not in self.events}
        self.events |= new
        return [new[key] for key in sorted(new)]

    def _note(self, verdict: Mapping[str, Any], now: float) -> None:
        evidence = verdict["evidence"]
        if evidence.get("log10_e") is None or not evidence.get("limit"):
            return
        key = (verdict["detector"], verdict["subject"], int(verdict["epoch"]))
        self.evidence.setdefault(key, []).append((now, evidence["log10_e"] / evidence["limit"]))

    @property
    def champion(self) -> str:
        """The version that answers, by the ledger; "" while unknown."""
        return str((self.seen.get("champion") or {}).get("version", ""))

    @property
    def run(self) -> dict[str, Any] | None:
        """The first run, or None. The demo's cool-down allows no second one."""
        runs = self.seen.get("runs") or [None]
        return runs[-1]  # type: ignore[no-any-return]  # JSON

    @property
    def state(self) -> str:
        """The run's state, "" without one."""
        return str(self.run["state"]) if self.run else ""

    def alarms(self) -> list[Alarm]:
        """Every alarm of every incident, by time."""
        found = [
            Alarm(
                at=seconds(s["first_at"]), epoch=int(incident["epoch"]), detector=s["detector"], subject=s["subject"], because=s["because"]
            )
            for incident in self.seen.get("incidents", ())
            for s in incident["subjects"].values()
        ]
        return sorted(found, key=lambda alarm: alarm.at)

    def incidents(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return list(reversed(self.seen.get("incidents", ())))

    def entered(self) -> list[Entered]:
        """The states that the run went through, in order."""
        return [
            Entered(at=seconds(e["at"]), run=e["data"]["run"], state=e["data"]["state"], because=e["data"].get("because") or "")
            for _, e in sorted(self.events.items())
            if e["kind"] == "run.entered"
        ]


def seconds(at: float | str) -> float:
    """Seconds since the epoch of a time on the wire."""
    return float(at) if isinstance(at, int | float) else datetime.fromisoformat(at).timestamp()
