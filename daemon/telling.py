"""What a closed pane has to say: its alarms to the ledger; to people an incident's turns, each once, with what is known of them by then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from daemon.decide import belief
from daemon.decide import incident as incidents_of
from daemon.decide.cause import Harm
from daemon.store import counters, incidents, outbox
from daemon.store.ledger import events, note
from daemon.store.outbox import What

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from daemon.store.closed import ClosedPane
    from daemon.store.epochs import Epoch
    from daemon.watch import Watch
    from detectors.types import Verdict

    Said = Mapping[str, Any]
    """{harm, shift, because, …}, as the ledger keeps a diagnosis."""


log = structlog.get_logger()
_CHANGED = "monitors.changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """An incident after the newest verdicts, and what these did to it."""

    after: incidents_of.Incident
    change: incidents_of.Change
    found: list[Verdict]
    was_harmful: bool = False
    """Drift and risk were in it before."""
    was_unfair: bool = False
    """Fairness was."""
    because: str = ""
    """Of a closed one."""
    evidence: Said | None = None
    """{named, over, log10_e, needed, is_confirmed}: what may be believed by now; None = it has no e-process, or nothing alarms now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosed:
    """What was said of an open incident before the pane, and with it."""

    before: Said | None
    now: Said


def believe(tx: Connection, incident: incidents_of.Incident, found: Iterable[Verdict], now: float) -> Said | None:
    """What the e-processes say of it at this alarm, written down; None = nothing alarms now, or there is no e-process."""
    kept = incidents.incident(tx, incident.id)
    found = list(found)
    if kept is None or not incidents_of.alarms(found):
        return None
    earlier = incidents.evidence_of_epochs(tx, incident.model, before=incident.epoch)
    believed = belief.believe(found, before=kept.evidence or None, earlier=earlier, silent=incident.silent(now))
    if believed is None:
        return None
    incidents.believe(tx, incident.id, believed.as_data(), now=now)
    return believed.as_data()


def tell_alarms(tx: Connection, pane: ClosedPane, fresh: Iterable[Verdict], *, epoch: int, now: float) -> None:
    """Into the ledger, and counted."""
    for v in fresh:
        figures = {"value": v.value, "low": v.low, "high": v.high, "n": v.n}
        whose = {"detector": v.detector, "subject": v.subject, "pane_start": pane.start, "pane_end": pane.end, "epoch": epoch}
        note(tx, now, pane.model, "alarm", **whose, **figures, because=v.because)
        counters.add(tx, pane.model, {("alarms", v.detector): 1})


def tell_changed(tx: Connection, watch: Watch, now: float) -> None:
    """Into the ledger: that the settings changed in the middle of an epoch, once for what they became."""
    name = watch.model.name
    if watch.changed and all(e["data"].get("key") != watch.key for e in events(tx, name, _CHANGED, limit=1)):
        note(tx, now, name, _CHANGED, key=watch.key, epoch=watch.epoch, because=watch.changed)
        log.warning(_CHANGED, model=name, because=watch.changed)


def tell_turn(tx: Connection, turn: Turn | None, diagnosed: Diagnosed | None, now: float) -> None:
    """To people, at most one message a pane, and each once an incident.

    Opened, with what it means by then; harmful, when it was not told to be so: neither at its opening nor later; unfair, likewise; benign;
    closed. The diagnosis of a pane is made before, so that the message of an incident never says less than its page.
    """
    if turn is not None and turn.change is incidents_of.Change.OPENED:
        _tell(tx, What.INCIDENT_OPENED, turn, diagnosed, now)
    elif turn is not None and turn.change is incidents_of.Change.CLOSED:
        _tell(tx, What.INCIDENT_CLOSED, turn, None, now)
    elif turn is not None and _does_harm(turn, diagnosed) and not _was_told_harm(turn, diagnosed):
        _tell(tx, What.INCIDENT_HARMFUL, turn, diagnosed, now)
    elif turn is not None and turn.after.has(incidents_of.AlarmKind.FAIRNESS) and not turn.was_unfair:
        _tell(tx, What.INCIDENT_UNFAIR, turn, diagnosed, now)


def tell_benign(tx: Connection, model: str, incident: str, diagnosed: Diagnosed, now: float) -> None:
    """That labels prove an incident harmless, of which something else was said before."""
    if diagnosed.now["harm"] == Harm.BENIGN and diagnosed.before is not None and diagnosed.before["harm"] != Harm.BENIGN:
        because = diagnosed.now["because"]
        outbox.tell(tx, What.INCIDENT_BENIGN, model=model, key=f"{incident}:benign", because=because, now=now, incident=incident)


def tell_reference(tx: Connection, epoch: Epoch, what: What, *, incident: str | None, because: str, now: float) -> None:
    """That the reference moved: once an epoch."""
    more = {} if incident is None else {"incident": incident}
    outbox.tell(tx, what, model=epoch.model, key=f"{epoch.model}:reference:{epoch.epoch}", because=because, now=now, **more)


def tell_set_back(tx: Connection, model: str, ahead_s: float, now: float) -> None:
    """That the service's clock was ahead of what it says now: once for what it had come to."""
    until = now + ahead_s
    because = (
        f"the service's clock was ahead by {ahead_s:.0f} s or more and was set back: records and verdicts of that time are dated as far as "
        f"{datetime.fromtimestamp(until, UTC).isoformat(timespec='seconds')}. What comes now is watched."
    )
    note(tx, now, model, "clock", ahead_s=ahead_s, because=because)
    outbox.tell(tx, What.BLIND_CLOCK, model=model, key=f"{model}:clock:{until:.0f}", because=because, now=now)


def _does_harm(turn: Turn, diagnosed: Diagnosed | None) -> bool:
    return turn.after.harmful or (diagnosed is not None and diagnosed.now["harm"] == Harm.HARMFUL)


def _was_told_harm(turn: Turn, diagnosed: Diagnosed | None) -> bool:
    before = diagnosed.before if diagnosed is not None else None
    return turn.was_harmful or (before is not None and before["harm"] == Harm.HARMFUL)


def _tell(tx: Connection, what: What, turn: Turn, diagnosed: Diagnosed | None, now: float) -> None:
    """One message: the key makes it the only one of its kind."""
    incident = turn.after
    newest = max(incident.subjects.values(), key=lambda s: float(s["first_at"]))
    more: dict[str, Any] = {
        "incident": incident.id,
        "harmful": incident.harmful,
        "kinds": sorted({str(s["kind"]) for s in incident.subjects.values()}),
        "opened_at": incident.opened_at,
        "figures": [
            {name: getattr(v, name) for name in ("detector", "subject", "value", "low", "high", "n", "because")}
            for v in sorted(incidents_of.alarms(turn.found), key=lambda v: incidents_of.BY_HARM.index(incidents_of.alarm_kind(v.detector)))
        ],
    }
    if turn.evidence is not None:
        more["evidence"] = belief.in_words(turn.evidence)
    if diagnosed is not None:
        more["diagnosis"] = {name: diagnosed.now[name] for name in ("harm", "shift", "because")}
    key, because = f"{incident.id}:{what.value.removeprefix('incident.')}", turn.because or newest["because"]
    outbox.tell(tx, what, model=incident.model, key=key, because=because, now=now, **more)
