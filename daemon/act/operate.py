"""What a named person asks for: retrain, approve, cancel, promote, roll back. Each is one transaction; `Runs.advance` does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from daemon.act.steps.watch import reopen_incident
from daemon.decide.policy import Retrain, TriggerKind
from daemon.decide.run import WAITING, WITHOUT_JOB, State, judged, may_promote
from daemon.store import champions, epochs, incidents, outbox, runs, tables
from daemon.store.ledger import events, note
from retrain.gates.record import is_sound
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from daemon.act.runs import Runs
    from daemon.settings import ModelSettings
    from daemon.store.champions import Champion
    from daemon.store.epochs import Epoch
    from daemon.store.runs import Run

_TWICE_S = 600.0
"""Within this a second rollback that names no version is taken for the first one's repetition."""


def retrain(tx: Connection, runs_: Runs, model: ModelSettings, *, by: str, because: str, now: float) -> Run:
    """A run now, whatever the triggers say; CONFLICT when one is active, REFUSED without `retrain` settings."""
    _named(by)
    if model.retrain is None:
        raise Permanent(Reason.REFUSED, f"{model.name} has no `retrain` settings")
    opened = incidents.open_of(tx, model.name)
    decision = Retrain(
        kind=TriggerKind.MANUAL,
        subject="manual",
        detector="person",
        because=f"{by}: {because}",
        at=now,
        incident=opened.id if opened is not None else None,
    )
    note(tx, now, model.name, "operate.retrain", by=by, because=because)
    return runs_.plan(tx, model, decision, now, by=by)


def approve(tx: Connection, model: str, *, run: str | None, by: str, because: str, now: float) -> Run:
    """Let the run that waits go on; REFUSED for a rejected one, always."""
    _named(by)
    found = runs.run(tx, run) if run is not None else runs.active(tx, model)
    if found is None or found.model != model:
        raise Permanent(Reason.NOT_FOUND, f"no run {run} of {model}" if run else f"{model} has no run that waits for approval")
    if judged(found.record) is State.REJECTED or State(found.state) is State.REJECTED:
        raise Permanent(Reason.REFUSED, f"run {found.id} was rejected by its gates: nobody can approve it")
    if State(found.state) is not State.AWAITING_APPROVAL:
        raise Permanent(Reason.CONFLICT, f"run {found.id} is {found.state}: it does not wait for approval")
    if not is_sound(found.record) or not may_promote(found.record, by):
        raise Permanent(Reason.REFUSED, f"run {found.id} has no gate record that can be approved")
    note(tx, now, model, "operate.approve", run=found.id, by=by, because=because)
    return _approved(tx, found, by)


def cancel(tx: Connection, model: str, *, run: str | None, by: str, because: str, now: float) -> Run:
    """End the run before anything of it is at work, or while it waits for approval; its incident starts no other one by itself."""
    _named(by)
    found = runs.run(tx, run) if run is not None else runs.active(tx, model)
    if found is None or found.model != model:
        raise Permanent(Reason.NOT_FOUND, f"no run {run} of {model}" if run else f"{model} has no run")
    if State(found.state) not in WITHOUT_JOB:
        raise Permanent(Reason.CONFLICT, f"run {found.id} is {found.state}: one that collects or waits for approval can be cancelled")
    if found.approved_by is not None:
        raise Permanent(Reason.CONFLICT, f"run {found.id} is approved already, by {found.approved_by}")
    said, ended = f"cancelled by {by}: {because}", State.CANCELLED.value
    note(tx, now, model, "operate.cancel", run=found.id, by=by, because=because)
    outbox.tell(tx, outbox.What.RUN_CANCELLED, model=model, key=f"run:{found.id}:{ended}", because=said, now=now, run=found.id)
    return runs.enter(tx, found.id, ended, expected=found.state, now=now, because=said, ended=True, detail={"cancelled_by": by})


def promote(tx: Connection, model: str, *, version: str | None, by: str, because: str, now: float) -> Run | Epoch:
    """A registered version (None = the challenger), or a formerly kept one, becomes champion.

    The challenger's run goes on by itself; a version that was champion before is moved at once.
    """
    _named(by)
    active = runs.active(tx, model)
    if active is not None and active.version is not None and version in {None, active.version} and State(active.state) in WAITING:
        if not is_sound(active.record) or not may_promote(active.record, by):
            raise Permanent(Reason.REFUSED, f"the gates of version {active.version} do not allow it")
        note(tx, now, model, "operate.promote", run=active.id, version=active.version, by=by, because=because)
        return _approved(tx, active, by)
    if version is None:
        raise Permanent(Reason.CONFLICT, f"{model} has no challenger that waits")
    held, before = champions.champion(tx, model), epochs.last_epoch(tx, model, version)
    if held is None or before is None:
        raise Permanent(Reason.REFUSED, f"version {version} of {model} neither waits for promotion nor was it champion before")
    note(tx, now, model, "operate.promote", version=version, by=by, because=because)
    return champions.move_champion(tx, model, version, expected_revision=held.revision, now=now, because=f"{by}: {because}")


def rollback(tx: Connection, model: str, *, version: str | None, by: str, because: str, now: float) -> Epoch:
    """Back to the previous champion (or a formerly kept `version`), in one transaction; the present one is barred.

    Asked twice (a second person, an answer that did not arrive) it must not go back twice: further back goes a named version only.
    """
    _named(by)
    held = champions.champion(tx, model)
    if held is None:
        raise Permanent(Reason.CONFLICT, f"{model} has no champion")
    if version is None and (said := _rolled_back(tx, held, now)):
        further = f"; to go further back name the version: {held.previous}" if held.previous else ""
        raise Permanent(Reason.CONFLICT, f"{model} has just gone back to version {held.version} ({said}){further}")
    target = version or held.previous
    if target is None or target == held.version:
        raise Permanent(Reason.CONFLICT, f"{model} has no earlier version to go back to")
    if epochs.last_epoch(tx, model, target) is None:
        raise Permanent(Reason.REFUSED, f"version {target} of {model} was never champion")
    said = f"rolled back by {by}: {because}"
    champions.bar(tx, model, held.version, now=now, because=said)
    how = champions.Move.ROLLED_BACK
    new = champions.move_champion(tx, model, target, expected_revision=held.revision, now=now, because=said, how=how)
    note(tx, now, model, "operate.rollback", version=target, before=held.version, by=by, because=because)
    run = runs.active(tx, model)
    if run is not None and run.version == held.version and State(run.state) in {State.PROMOTED, State.WATCHING}:
        runs.enter(tx, run.id, State.ROLLED_BACK.value, expected=run.state, now=now, because=said, ended=True)
        reopen_incident(tx, run, now=now, because=said)
    return new


def _rolled_back(tx: Connection, held: Champion, now: float) -> str:
    """Why, when the champion came by a rollback a moment ago; else empty."""
    if abs(now - held.since) >= _TWICE_S:
        return ""
    moved = events(tx, held.model, "champion.moved", limit=1)
    is_back = bool(moved) and moved[0]["data"]["how"] == champions.Move.ROLLED_BACK and moved[0]["data"]["version"] == held.version
    return str(moved[0]["data"]["because"]) if is_back else ""


def _named(by: str) -> None:
    if not by.strip():
        raise Permanent(Reason.REFUSED, "a person's name is needed: `by`")


def _approved(tx: Connection, run: Run, by: str) -> Run:
    """Keep who approved: one name, so a second click or a second person is told."""
    table = tables.run
    if tx.execute(update(table).where(table.c.id == run.id, table.c.approved_by.is_(None)).values(approved_by=by[:128])).rowcount != 1:
        raise Permanent(Reason.CONFLICT, f"run {run.id} is approved already, by {run.approved_by}")
    found = runs.run(tx, run.id)
    assert found is not None
    return found
