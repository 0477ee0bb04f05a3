"""Incidents of a model, with the subjects that alarmed.

When they open and close is `daemon.decide.incident`'s matter, what a person says of them `daemon.store.judgements`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from daemon.store import tables
from daemon.store.ledger import events, note
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection

_t = tables.incident
_MOST_MOVES = 1000
"""References that persons moved; older ones are not looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredIncident:
    """One incident, as the ledger has it."""

    id: str
    model: str
    epoch: int
    opened_at: float
    closed_at: float | None
    last_alarm_at: float
    subjects: dict[str, Any]
    """ "detector:subject" -> {detector, subject, kind, …}."""
    harmful: bool
    report: str | None
    """Path relative to data_dir."""
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None
    muted_until: float | None = None
    muted_by: str | None = None
    judged: str | None = None
    """real | false | expected; None = no person has judged it."""
    judged_by: str | None = None
    judged_at: float | None = None
    note: str | None = None
    """The reason of the person who judged."""
    held: dict[str, float] | None = None
    """Subject key -> its last alarm: closed by a person and not quiet yet; None = nothing."""
    diagnosis: dict[str, Any] | None = None
    """{harm, shift, because, n, errors_n}, of other losses than errors squares; None = of an older release. See `decide.labelled`."""
    evidence: dict[str, Any] | None = None
    """{named, over, log10_e, needed, is_confirmed}, as `daemon.decide.belief` says; None = of an older release, or no e-process."""


def open_incident(
    tx: Connection, *, incident_id: str, model: str, epoch: int, now: float, subjects: Mapping[str, Any], harmful: bool
) -> StoredIncident:
    """A new incident; `Permanent(CONFLICT)` while another one of the model is open."""
    if open_of(tx, model) is not None:
        raise Permanent(Reason.CONFLICT, f"{model} has an open incident already")
    new = StoredIncident(
        id=incident_id,
        model=model,
        epoch=epoch,
        opened_at=now,
        closed_at=None,
        last_alarm_at=now,
        subjects=dict(subjects),
        harmful=harmful,
        report=None,
    )
    tx.execute(update(_t).where(_t.c.model == model, _t.c.held.is_not(None)).values(held=None))  # they sound in this one now
    tx.execute(insert(_t).values({name: getattr(new, name) for name in StoredIncident.__dataclass_fields__}))
    note(tx, now, model, "incident.opened", incident=incident_id, epoch=epoch, subjects=new.subjects, harmful=harmful)
    return new


def extend(tx: Connection, incident_id: str, *, now: float, subjects: Mapping[str, Any], harmful: bool, last_alarm_at: float) -> None:
    """Write the subjects as they are now; an event only when a subject was added or the incident became harmful, which it says once."""
    held = _get(tx, incident_id)
    values = {"subjects": dict(subjects), "harmful": harmful, "last_alarm_at": last_alarm_at}
    tx.execute(update(_t).where(_t.c.id == incident_id).values(values))
    added = sorted(set(subjects) - set(held.subjects))
    if added or harmful != held.harmful:
        note(tx, now, held.model, "incident.extended", incident=incident_id, added=added, harmful=harmful and not held.harmful)


def close(tx: Connection, incident_id: str, *, now: float, because: str) -> None:
    """Over; closing a closed one changes nothing."""
    held = _get(tx, incident_id)
    if tx.execute(update(_t).where(_t.c.id == incident_id, _t.c.closed_at.is_(None)).values(closed_at=now)).rowcount == 1:
        note(tx, now, held.model, "incident.closed", incident=incident_id, because=because)


def absorb(tx: Connection, incident_id: str, *, now: float, because: str) -> None:
    """Over, for what it was about is the reference now: it holds nothing any more."""
    close(tx, incident_id, now=now, because=because)
    tx.execute(update(_t).where(_t.c.id == incident_id).values(held=None))


def absorbed(tx: Connection, model: str) -> dict[str, float]:
    """Incident -> when it was absorbed into the reference; without those of which that was undone."""
    found: dict[str, float] = {}
    for event in reversed(events(tx, model, "reference.absorbed", "reference.restored", limit=_MOST_MOVES)):
        incident_id = str(event["data"].get("incident"))
        if event["kind"] == "reference.absorbed":
            found[incident_id] = event["at"]
        else:
            found.pop(incident_id, None)
    return found


def reopen(tx: Connection, incident_id: str, *, now: float, because: str) -> None:
    """Open again (after a rollback), heard anew: neither acknowledged nor muted.

    A newer open incident of the model is left as it is and this one stays closed; so does one that a person judged false or expected.
    """
    kept = _get(tx, incident_id)
    if kept.judged in {"false", "expected"} or open_of(tx, kept.model) is not None:
        return
    anew = {"acknowledged_by": None, "acknowledged_at": None, "muted_until": None, "muted_by": None, "held": None}
    tx.execute(update(_t).where(_t.c.id == incident_id).values(closed_at=None, last_alarm_at=now, **anew))
    note(tx, now, kept.model, "incident.reopened", incident=incident_id, because=because)


def held_subjects(tx: Connection, model: str, epoch: int) -> dict[str, float]:
    """What a person closed and what has not been quiet since: subject key -> its last alarm. Empty while an incident is open."""
    found = tx.execute(select(_t.c.held).where(*_holding(model, epoch))).scalar()
    return dict(found or {})


def hold(tx: Connection, model: str, epoch: int, still: Mapping[str, float], *, now: float) -> None:
    """Write what is still held; an event when nothing is any more."""
    incident_id = tx.execute(select(_t.c.id).where(*_holding(model, epoch))).scalar()
    if incident_id is None:
        return
    tx.execute(update(_t).where(_t.c.id == incident_id).values(held=dict(still) or None))
    if not still:
        note(tx, now, model, "incident.quiet", incident=incident_id, because="its subjects have been quiet: a new alarm opens an incident")


def diagnose(tx: Connection, incident_id: str, found: Mapping[str, Any], *, now: float) -> None:
    """Write what it means; an event when the word changes, not when only a figure does."""
    kept = _get(tx, incident_id)
    tx.execute(update(_t).where(_t.c.id == incident_id).values(diagnosis=dict(found)))
    before = kept.diagnosis or {}
    if (before.get("harm"), before.get("shift")) != (found["harm"], found["shift"]):
        said = {name: found[name] for name in ("harm", "shift", "because")}
        note(tx, now, kept.model, "incident.diagnosed", incident=incident_id, **said)


def believe(tx: Connection, incident_id: str, found: Mapping[str, Any], *, now: float) -> None:
    """Write what may be believed of it; an event when it is confirmed, and when a subject is named, or over, for the first time."""
    kept = _get(tx, incident_id)
    tx.execute(update(_t).where(_t.c.id == incident_id).values(evidence=dict(found)))
    before = kept.evidence or {"named": [], "is_confirmed": False}
    added = {*found["named"]} - {*before["named"]} | {*found["over"]} - {*before.get("over", ())}
    if added or found["is_confirmed"] != before["is_confirmed"]:
        said = {name: found[name] for name in ("named", "over", "is_confirmed", "log10_e", "needed")}
        note(tx, now, kept.model, "incident.evidence", incident=incident_id, **said)


def evidence_of_epochs(tx: Connection, model: str, *, before: int) -> list[float | None]:
    """Of each epoch from the first to the one before `before`: the most evidence that an incident of it had; None = it had none."""
    found: dict[int, float] = {}
    for row in tx.execute(select(_t.c.epoch, _t.c.evidence).where(_t.c.model == model, _t.c.epoch < before)):
        if row.evidence:
            found[row.epoch] = max(row.evidence["log10_e"], found.get(row.epoch, row.evidence["log10_e"]))
    return [found.get(number) for number in range(1, before)]


def attach_report(tx: Connection, incident_id: str, report: str) -> None:
    """Link the report: a path relative to data_dir."""
    tx.execute(update(_t).where(_t.c.id == incident_id).values(report=report))


def incident(tx: Connection, incident_id: str) -> StoredIncident | None:
    """One incident."""
    row = tx.execute(select(_t).where(_t.c.id == incident_id)).first()
    return None if row is None else StoredIncident(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def open_of(tx: Connection, model: str) -> StoredIncident | None:
    """The model's open incident: at most one."""
    row = tx.execute(select(_t).where(_t.c.model == model, _t.c.closed_at.is_(None)).order_by(_t.c.opened_at.desc())).first()
    return None if row is None else StoredIncident(**row._mapping)  # noqa: SLF001 (SQLAlchemy's API)


def incidents(tx: Connection, model: str, *, limit: int = 50) -> list[StoredIncident]:
    """The newest incidents, newest first."""
    query = select(_t).where(_t.c.model == model).order_by(_t.c.opened_at.desc()).limit(limit)
    return [StoredIncident(**row._mapping) for row in tx.execute(query)]  # noqa: SLF001 (SQLAlchemy's API)


def _holding(model: str, epoch: int) -> tuple[ColumnElement[bool], ...]:
    """The incident that holds something: at most one, for one that opens takes over what was held."""
    return (_t.c.model == model, _t.c.epoch == epoch, _t.c.held.is_not(None))


def _get(tx: Connection, incident_id: str) -> StoredIncident:
    found = incident(tx, incident_id)
    if found is None:
        raise Permanent(Reason.NOT_FOUND, f"no incident {incident_id}")
    return found
