"""What forms do: the API's operations, by a person with a name, after the same guard. A page that is out of date gets a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from daemon.show.operations import Done
from daemon.show.pages.access import Refused
from daemon.show.pages.desk import Desk
from daemon.show.pages.forms import Fields, form, person, reason
from daemon.store import champions, incidents, runs
from daemon.store.judgements import Judged

_Fields = Annotated[Fields, Depends(form)]


def actions(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    router.include_router(_on_models(desk))
    router.include_router(_on_incidents(desk))

    def of_run(what: str, act: Callable[..., Done]) -> None:
        @router.post(f"/runs/{{run_id}}/{what}", name=what)
        def route(request: Request, run_id: str, fields: _Fields) -> Response:
            by, because, root = _who(desk, request, fields)
            with desk.ledger.read() as tx:
                run = runs.run(tx, run_id[:64])
            if run is None:
                raise Refused(404, f"Nothing was done: there is no run {run_id[:64]!r}.")
            return desk.do(lambda: act(run.model, run=run.id, by=by, because=because), f"{root}/runs/{run.id}")

    of_run("approve", desk.operations.approve)
    of_run("cancel", desk.operations.cancel)
    return router


def _on_models(desk: Desk) -> APIRouter:
    router, operations = APIRouter(prefix="/models/{name}"), desk.operations

    def plain(what: str, act: Callable[..., Done]) -> None:
        @router.post(f"/{what}", name=what)
        def route(request: Request, name: str, fields: _Fields) -> Response:
            by, because, root = _who(desk, request, fields)
            desk.model(name)
            return desk.do(lambda: act(name, by=by, because=because), f"{root}/models/{name}")

    def moving(what: str, act: Callable[..., Done]) -> None:
        @router.post(f"/{what}", name=what)
        def route(request: Request, name: str, fields: _Fields) -> Response:
            by, because, root = _who(desk, request, fields)
            version = _target(desk, name, fields)
            return desk.do(lambda: act(name, version=version, by=by, because=because), f"{root}/models/{name}")

    @router.post("/restore")
    def restore(request: Request, name: str, fields: _Fields) -> Response:
        by, because, root = _who(desk, request, fields)
        desk.model(name)
        epoch = fields.get("epoch", "")
        if not epoch.isdecimal() or len(epoch) > 9:  # noqa: PLR2004 (no epoch of ours is as long)
            raise Refused(422, "Nothing was done: which epoch's reference is to be undone?")
        return desk.do(lambda: operations.restore(name, epoch=int(epoch), by=by, because=because), f"{root}/models/{name}")

    plain("retrain", operations.retrain)
    plain("pause", operations.pause)
    plain("resume", operations.resume)
    moving("promote", operations.promote)
    moving("rollback", operations.rollback)
    return router


def _on_incidents(desk: Desk) -> APIRouter:
    router, operations = APIRouter(prefix="/incidents/{incident}"), desk.operations

    @router.post("/acknowledge")
    def acknowledge(request: Request, incident: str, fields: _Fields) -> Response:
        by, because, root = _who(desk, request, fields)
        return desk.do(lambda: operations.acknowledge(incident[:64], by=by, because=because), f"{root}/incidents/{incident}")

    @router.post("/mute")
    def mute(request: Request, incident: str, fields: _Fields) -> Response:
        by, because, root = _who(desk, request, fields)
        until = _instant(fields.get("until", ""))
        return desk.do(lambda: operations.mute(incident[:64], until=until, by=by, because=because), f"{root}/incidents/{incident}")

    @router.post("/absorb")
    def absorb(request: Request, incident: str, fields: _Fields) -> Response:
        by, because, root = _who(desk, request, fields)
        model, force = _model_of(desk, incident[:64]), fields.get("force", "") == "yes"
        return desk.do(
            lambda: operations.absorb(model, incident=incident[:64], force=force, by=by, because=because), f"{root}/incidents/{incident}"
        )

    @router.post("/close")
    def close(request: Request, incident: str, fields: _Fields) -> Response:
        by, because, root = _who(desk, request, fields)
        judged, replaces = _judged(fields.get("judged", "")), fields.get("replaces", "")
        corrected = _judged(replaces) if replaces else None
        return desk.do(
            lambda: operations.judge(incident[:64], judged=judged, replaces=corrected, by=by, because=because),
            f"{root}/incidents/{incident}",
        )

    return router


def _who(desk: Desk, request: Request, fields: Fields) -> tuple[str, str, str]:
    """(who, why, what links begin with), once the visitor may act."""
    visitor = desk.access.check(request, fields.get("token", ""))
    return person(fields, visitor.person), reason(fields), visitor.root


def _model_of(desk: Desk, incident: str) -> str:
    """The model of an incident."""
    with desk.ledger.read() as tx:
        found = incidents.incident(tx, incident)
    if found is None:
        raise Refused(404, f"Nothing was done: there is no incident {incident!r}.")
    return found.model


def _target(desk: Desk, name: str, fields: Fields) -> str:
    """The version that is to be champion; never without the champion that the page showed, so that a second click goes no further back."""
    desk.model(name)
    seen, version = fields.get("champion", ""), fields.get("version", "")[:64]
    with desk.ledger.read() as tx:
        held = champions.champion(tx, name)
    now = held.version if held is not None else ""
    if not version or seen != now:
        raise Refused(409, f"Nothing was done: version {now or '?'} is champion now, not {seen[:64] or '?'} as your page showed.")
    return version


def _judged(text: str) -> Judged:
    try:
        return Judged(text)
    except ValueError:
        raise Refused(422, "Nothing was done: an incident was real, false or expected.") from None


def _instant(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Refused(422, "Nothing was done: until when? A time with its zone is needed, as 2026-11-25T08:00Z.")
    return at.timestamp()
