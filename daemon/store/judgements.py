"""What a person says of an incident: acknowledged, muted, judged. Each is an event; each refuses what came too late or comes twice.

A judgement closes an open incident. Its subjects may still alarm: they are held (`incidents.held_subjects`) and neither open an incident
nor start a training until they have been quiet for `quiet_s`, another subject opens one, or the epoch ends.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from daemon.store import counters, incidents, tables
from daemon.store.ledger import note
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from daemon.store.incidents import StoredIncident

_t = tables.incident

MUTE_MOST_S = 30 * 86_400.0
"""Longer would be switching the model's alerts off."""


class Judged(StrEnum):
    """What an incident was, in a person's word."""

    REAL = "real"
    """Something was wrong."""
    FALSE = "false"
    """Nothing was: a false alarm."""
    EXPECTED = "expected"
    """True, but known beforehand (a campaign, a migration): no part of the alarms' precision."""


def acknowledge(tx: Connection, incident_id: str, *, by: str, because: str, now: float) -> StoredIncident:
    """Somebody is on it: nobody else needs to be woken."""
    kept = _open(tx, incident_id, by)
    if kept.acknowledged_by is not None:
        raise Permanent(Reason.CONFLICT, f"incident {incident_id} is acknowledged already, by {kept.acknowledged_by}")
    return _say(tx, kept, "incident.acknowledged", {"acknowledged_by": by, "acknowledged_at": now}, by=by, because=because, now=now)


def mute(tx: Connection, incident_id: str, *, until: float, by: str, because: str, now: float) -> StoredIncident:
    """No person is told of this incident before `until`; what the service does by itself goes on. A later word replaces the earlier one."""
    kept = _open(tx, incident_id, by)
    if not now < until <= now + MUTE_MOST_S:
        raise Permanent(Reason.REFUSED, "an incident is muted until a time ahead, at most 30 days")
    return _say(tx, kept, "incident.muted", {"muted_until": until, "muted_by": by}, by=by, because=because, now=now, until=until)


def judge(
    tx: Connection, incident_id: str, judged: Judged, *, replaces: Judged | None = None, by: str, because: str, now: float
) -> StoredIncident:
    """Say what it was; closes it if it is open. `replaces`: the judgement that is corrected, so that nobody overrules another unawares."""
    kept = _get(tx, incident_id, by)
    if kept.judged != replaces:
        word = f"was judged {kept.judged} by {kept.judged_by}" if kept.judged else "has not been judged"
        raise Permanent(Reason.CONFLICT, f"incident {incident_id} {word}")
    is_open = kept.closed_at is None
    if judged == kept.judged and not is_open:
        raise Permanent(Reason.CONFLICT, f"incident {incident_id} was judged {judged} already, by {kept.judged_by}")
    values: dict[str, Any] = {"judged": judged.value, "judged_by": by, "judged_at": now, "note": because}
    if is_open:
        values["held"] = {key: float(subject.get("last_at", now)) for key, subject in kept.subjects.items()}
    after = _say(tx, kept, "incident.judged", values, by=by, because=because, now=now, judged=judged.value, before=kept.judged)
    counters.add(tx, kept.model, {("judged", judged.value): 1})
    if is_open:
        incidents.close(tx, incident_id, now=now, because=f"judged {judged} by {by}")
    return after


def tally(tx: Connection, model: str) -> Mapping[str, int]:
    """How many incidents of a model are judged real, false, expected, by the last word on each."""
    query = select(_t.c.judged, func.count()).where(_t.c.model == model, _t.c.judged.is_not(None)).group_by(_t.c.judged)
    return {judged.value: 0 for judged in Judged} | {judged: int(n) for judged, n in tx.execute(query)}


def _open(tx: Connection, incident_id: str, by: str) -> StoredIncident:
    kept = _get(tx, incident_id, by)
    if kept.closed_at is not None:
        raise Permanent(Reason.CONFLICT, f"incident {incident_id} is closed")
    return kept


def _get(tx: Connection, incident_id: str, by: str) -> StoredIncident:
    if not by.strip():
        raise Permanent(Reason.REFUSED, "a person's name is needed: `by`")
    found = incidents.incident(tx, incident_id)
    if found is None:
        raise Permanent(Reason.NOT_FOUND, f"no incident {incident_id}")
    return found


def _say(tx: Connection, kept: StoredIncident, kind: str, values: Mapping[str, Any], *, now: float, **said: Any) -> StoredIncident:  # noqa: ANN401 (JSON)
    """Write it, unless the incident changed since it was read; one event."""
    seen = {name: getattr(kept, name) for name in ("judged", "closed_at", "acknowledged_by")}
    unchanged = [_t.c[name].is_not_distinct_from(value) for name, value in seen.items()]
    if tx.execute(update(_t).where(_t.c.id == kept.id, *unchanged).values(dict(values))).rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"incident {kept.id} changed meanwhile")
    note(tx, now, kept.model, kind, incident=kept.id, **said)
    found = incidents.incident(tx, kept.id)
    assert found is not None
    return found
