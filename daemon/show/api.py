"""The service's HTTP API beside the ingest: what can be seen, and what a person can ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from jinja2 import TemplateRuntimeError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from daemon.settings import Settings
from daemon.show.answers import json_answer, model_of
from daemon.show.asked import of_incidents, of_models
from daemon.show.bounded import Bounded
from daemon.show.exporter import CONTENT_TYPE, Exporter
from daemon.show.guard import Guard
from daemon.show.ingest_schema import add_ingest
from daemon.show.label_plan import label_plans
from daemon.show.operations import Operations
from daemon.show.pages.access import Refused
from daemon.show.pages.build import add_pages
from daemon.show.runbooks import runbooks
from daemon.show.snapshot import incident_view
from daemon.show.timeline import timeline
from daemon.show.views import ModelView
from daemon.show.wire import to_wire
from daemon.store.damage import BROKEN, REMEDY, said
from daemon.store.incidents import absorbed, incident
from daemon.store.ledger import Ledger
from retrain.types import Permanent, Reason, Transient

log = structlog.get_logger()
_AWAY = "the ledger does not answer or is held by another program; nothing was done: try again in a moment"
STUCK_S = 60.0
"""/healthz says so when no tick has ended for ten periods plus this."""

_STATUS = {Reason.NOT_FOUND: 404, Reason.CONFLICT: 409, Reason.REFUSED: 409, Reason.NOT_ENOUGH_LABELS: 409}
_SANDBOX = {
    "Content-Security-Policy": "sandbox allow-scripts; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
}


def create_api(
    operations: Operations,
    settings: Settings,
    ledger: Ledger,
    *,
    ingest: Mapping[str, type] | None = None,
    now: Callable[[], float] = time.time,
) -> FastAPI:
    """The ASGI app. `ingest`: path of a raw ingest route -> its msgspec type, for /openapi.json only; the app doesn't serve them."""
    from importlib.metadata import version  # noqa: PLC0415 (read once)

    app = FastAPI(title="retuned", version=version("retuned"), docs_url=None, redoc_url=None)
    app.include_router(_seen(operations, settings, ledger))
    app.include_router(label_plans(operations, settings, ledger, now))
    guard = Guard(settings.http)
    app.include_router(of_models(operations, guard))
    app.include_router(of_incidents(operations, guard))
    app.add_exception_handler(Permanent, _permanent)
    app.add_exception_handler(Transient, _transient)
    app.include_router(runbooks())
    sentence = add_pages(app, operations, settings, ledger, guard=guard, now=now)

    async def away(request: Request, error: Exception) -> Response:
        log.warning("ledger.away", path=request.url.path, error=type(error).__name__)
        if request.url.path.startswith(("/v1/", "/reports/")):
            return await _transient(request, Transient(Reason.UNAVAILABLE, _AWAY, retry_after_s=5.0))
        return sentence(request, Refused(503, f"{_AWAY[0].upper()}{_AWAY[1:]}."))

    async def broken(request: Request, error: Exception) -> Response:
        log.error("page.failed", path=request.url.path, because=said(error), exc_info=error)
        because = f"What the ledger holds of this cannot be shown: {said(error)}; {REMEDY}."
        if request.url.path.startswith(("/v1/", "/reports/", "/metrics")):
            return JSONResponse({"detail": because, "reason": str(Reason.BAD_DATA)}, 500)
        return sentence(request, Refused(500, because))

    for wrong in (*BROKEN, TemplateRuntimeError):
        app.add_exception_handler(wrong, broken)
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.add_exception_handler(kind, away)
    add_ingest(app, ingest or {})
    app.add_middleware(Bounded)
    return app


def _seen(operations: Operations, settings: Settings, ledger: Ledger) -> APIRouter:
    router = APIRouter()
    exporter = Exporter(operations.snapshot)

    @router.get("/v1/models", summary="All models, short")
    def models() -> Response:
        return json_answer({"models": [_short(m) for m in operations.snapshot().models]})

    @router.get("/v1/models/{name}", summary="Champion, epoch, window, verdicts, incidents, runs, newest events and counters of a model")
    def model(name: str) -> Response:
        snapshot = operations.snapshot()
        return json_answer({"at": to_wire(snapshot.at, "at"), **to_wire(model_of(operations, name))})

    @router.get("/v1/incidents/{incident_id}", summary="An incident with its timeline")
    def one_incident(incident_id: str) -> Response:
        with ledger.read() as tx:
            kept = incident(tx, incident_id[:64])
            if kept is None:
                raise HTTPException(404, f"no incident {incident_id[:64]!r}")
            shown = to_wire(incident_view(kept, absorbed(tx, kept.model)))
            return json_answer({"model": kept.model, **shown, "timeline": to_wire(timeline(tx, kept))})

    @router.get("/reports/{incident_id}", summary="Evidently's HTML report of an incident")
    def report(incident_id: str) -> Response:
        return FileResponse(_report(ledger, settings.data_dir, incident_id), media_type="text/html", headers=_SANDBOX)

    @router.get("/metrics", summary="Prometheus")
    def metrics() -> Response:
        return Response(exporter.text(), media_type=CONTENT_TYPE)

    @router.get("/healthz", summary="200 while ticks end; 503 when none has for long")
    def healthz() -> Response:
        shown = operations.snapshot()
        health = shown.health
        stuck = health.quiet_s > 10 * settings.tick_s + STUCK_S
        damaged = {m.name: list(m.damaged) for m in shown.models if m.damaged}
        body = {"ok": not stuck, "last_tick_s_ago": round(health.quiet_s, 3), "damaged": damaged, "service": to_wire(health)}
        return json_answer(body, status=503 if stuck else 200)

    @router.get("/readyz", summary="200 when the service can work; 503 with what is missing")
    def readyz() -> Response:
        missing = operations.snapshot().health.not_ready
        return json_answer({"ready": not missing, "missing": list(missing)}, status=503 if missing else 200)

    return router


def _short(model: ModelView) -> dict[str, Any]:
    return {
        "name": model.name,
        "task": model.task,
        "version": model.champion.version if model.champion else None,
        "epoch": model.epoch.epoch if model.epoch else None,
        "is_learning": model.epoch.is_learning if model.epoch else True,
        "blind": sorted(model.blind),
        "is_paused": model.is_paused,
        "alarms": sorted({v.subject for v in model.verdicts if v.outcome == "alarm" and v.evidence.kind.startswith("e_")}),
        "incident": model.open_incident.id if model.open_incident else None,
        "run": next(({"id": r.id, "state": r.state} for r in model.runs if r.ended_at is None), None),
        "url": f"/v1/models/{model.name}",
    }


def _report(ledger: Ledger, data_dir: Path, incident_id: str) -> Path:
    """Path of an incident's report, inside `data_dir` or 404."""
    with ledger.read() as tx:
        held = incident(tx, incident_id[:64])
    if held is None or held.report is None:
        raise HTTPException(404, "no report of this incident (yet)")
    path = (data_dir / held.report).resolve()
    if not path.is_relative_to(data_dir.resolve()) or not path.is_file():
        raise HTTPException(404, "the report's file is gone")
    return path


async def _permanent(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Permanent)
    body = {"detail": error.detail or str(error), "reason": str(error.reason)}
    return JSONResponse(body, _STATUS.get(error.reason, 422))


async def _transient(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Transient)
    wait_s = max(1, round(error.retry_after_s or 1.0))
    body = {"detail": error.detail or str(error), "reason": str(error.reason)}
    return JSONResponse(body, 503, headers={"Retry-After": str(wait_s)})
