"""What a person can ask for over HTTP, of a model and of an incident: bodies, routes, and the guard before them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from daemon.show.answers import json_answer, model_of
from daemon.show.guard import Guard
from daemon.show.operations import Done, Operations
from daemon.show.wire import to_wire
from daemon.store.judgements import Judged

_NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps none
Person = Annotated[str, Field(min_length=1, max_length=128, pattern=_NO_NUL, description="Who asks; goes into the ledger.")]
Because = Annotated[str, Field(max_length=1000, pattern=_NO_NUL, description="That person's reason; goes into the ledger.")]
_Id = Annotated[str, Field(max_length=64, pattern=_NO_NUL)]


class Named(BaseModel):
    """By a person with a name: acknowledge."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    by: Person
    because: Because = ""


class Asked(Named):
    """Retrain, pause, resume: a name is welcome."""

    by: Person = "someone"


class Approval(Named):
    """Approve a run that waits, or cancel it."""

    run: _Id | None = None
    """None = the active one."""


class Move(Named):
    """Promote or roll back."""

    version: _Id | None = None
    """None = the challenger (promote) or the previous champion (rollback)."""


class Absorbing(Named):
    """Take a shift into the reference."""

    because: Because = Field(min_length=1)
    incident: _Id | None = None
    """None = the open one."""
    force: bool = False
    """It is normal although harm is not ruled out, data come damaged, or columns, hours or segments are not watched any more then."""


class Undoing(Named):
    """Bring the earlier reference back."""

    epoch: int | None = None
    """The one that is undone; None = the present."""


class Mute(Named):
    """Mute until a time ahead."""

    until: AwareDatetime


class Judgement(Named):
    """Close as real, false or expected."""

    judged: Judged
    replaces: Judged | None = None
    """The judgement that is corrected; None = it has none yet."""


def _of_runs(router: APIRouter, operations: Operations) -> None:
    @router.post("/approve", summary="Let a run that waits for approval go on")
    def approve(name: str, ask: Approval) -> Response:
        return _done(operations.approve(name, run=ask.run, by=ask.by, because=ask.because))

    @router.post("/cancel", summary="End a run that is planned, collects labels or waits for approval")
    def cancel(name: str, ask: Approval) -> Response:
        return _done(operations.cancel(name, run=ask.run, by=ask.by, because=ask.because))


def of_models(operations: Operations, guard: Guard) -> APIRouter:
    """Operations on models and their runs."""

    def known(name: str) -> None:
        model_of(operations, name)

    router = APIRouter(prefix="/v1/models/{name}", dependencies=[Depends(guard), Depends(known)])

    @router.post("/retrain", summary="Plan a run now")
    def retrain(name: str, ask: Asked) -> Response:
        return _done(operations.retrain(name, by=ask.by, because=ask.because))

    _of_runs(router, operations)

    @router.post("/promote", summary="Promote a registered version")
    def promote(name: str, ask: Move) -> Response:
        return _done(operations.promote(name, version=ask.version, by=ask.by, because=ask.because))

    @router.post("/rollback", summary="Back to the previous champion")
    def rollback(name: str, ask: Move) -> Response:
        return _done(operations.rollback(name, version=ask.version, by=ask.by, because=ask.because))

    @router.post("/absorb", summary="Take a benign shift into the reference: a new epoch of the same version")
    def absorb(name: str, ask: Absorbing) -> Response:
        return _done(operations.absorb(name, incident=ask.incident, force=ask.force, by=ask.by, because=ask.because))

    @router.post("/absorb/undo", summary="Bring the reference before the last absorbing back")
    def restore(name: str, ask: Undoing) -> Response:
        return _done(operations.restore(name, epoch=ask.epoch, by=ask.by, because=ask.because))

    @router.post("/pause", summary="Stop everything automatic")
    def pause(name: str, ask: Asked) -> Response:
        return _done(operations.pause(name, by=ask.by, because=ask.because))

    @router.post("/resume", summary="Go on")
    def resume(name: str, ask: Asked) -> Response:
        return _done(operations.resume(name, by=ask.by, because=ask.because))

    return router


def of_incidents(operations: Operations, guard: Guard) -> APIRouter:
    """Operations on incidents."""
    router = APIRouter(prefix="/v1/incidents/{incident}", dependencies=[Depends(guard)])

    @router.post("/acknowledge", summary="Say that somebody is on it")
    def acknowledge(incident: str, ask: Named) -> Response:
        return _done(operations.acknowledge(incident[:64], by=ask.by, because=ask.because))

    @router.post("/mute", summary="Tell nobody of it before a time (at most 30 days ahead)")
    def mute(incident: str, ask: Mute) -> Response:
        return _done(operations.mute(incident[:64], until=ask.until.timestamp(), by=ask.by, because=ask.because))

    @router.post("/close", summary="Close it as real, false or expected; or correct what it was closed as")
    def close(incident: str, ask: Judgement) -> Response:
        return _done(operations.judge(incident[:64], judged=ask.judged, replaces=ask.replaces, by=ask.by, because=ask.because))

    return router


def _done(done: Done) -> Response:
    return json_answer(to_wire(done))
