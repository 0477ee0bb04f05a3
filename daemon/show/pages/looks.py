"""What can be looked at: models, a model, an incident, a run. Open to everybody, as the API's and Prometheus' figures are."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from daemon.show.pages import read
from daemon.show.pages.access import Refused
from daemon.show.pages.desk import Desk
from daemon.show.pages.render import HERE, go
from daemon.store.judgements import Judged

_STATIC = {"page.css": "text/css", "icon.svg": "image/svg+xml"}


def looks(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    by_name = {m.name: m for m in desk.settings.models}

    @router.get("/")
    def models(request: Request) -> Response:
        snapshot = desk.operations.snapshot()
        metrics = {m.name: m.metric() for m in desk.settings.models if m.monitors.performance}
        return desk.page(request, "models.html", models=snapshot.models, metrics=metrics)

    @router.get("/models/{name}")
    def model(request: Request, name: str) -> Response:
        shown = desk.model(name)
        with desk.ledger.read() as tx:
            epochs, barred = read.versions(tx, name)
        return desk.page(request, "model.html", model=shown, epochs=epochs, barred=barred)

    @router.get("/models/{name}/incident")
    def newest_incident(request: Request, name: str) -> Response:
        """The open one, else the newest: where alerts link to."""
        shown, root = desk.model(name), desk.access.root(request)
        newest = shown.open_incident or next(iter(shown.incidents), None)
        return go(f"{root}/models/{name}" if newest is None else f"{root}/incidents/{newest.id}")

    @router.get("/incidents/{incident_id}")
    def incident(request: Request, incident_id: str) -> Response:
        now = desk.now()
        with desk.ledger.read() as tx:
            found = read.incident_page(tx, by_name, incident_id[:64], now)
        if found is None:
            raise Refused(404, f"There is no incident {incident_id[:64]!r}.")
        snapshot = desk.operations.snapshot().model(found.model)
        latest = {f"{v.detector}:{v.subject}": v for v in snapshot.verdicts if v.epoch == found.incident.epoch} if snapshot else {}
        quiet_s = by_name[found.model].monitors.quiet_s if found.model in by_name else None
        closes_at = None if quiet_s is None else found.incident.last_alarm_at + quiet_s
        shown: dict[str, object] = {"found": found, "incident": found.incident, "latest": latest, "judgements": list(Judged)}
        return desk.page(request, "incident.html", status=200, model=snapshot, closes_at=closes_at, **shown)

    @router.get("/runs/{run_id}")
    def run(request: Request, run_id: str) -> Response:
        with desk.ledger.read() as tx:
            found = read.run_page(tx, desk.settings.data_dir, run_id[:64])
        if found is None:
            raise Refused(404, f"There is no run {run_id[:64]!r}.")
        return desk.page(request, "run.html", found=found, run=found.run, plan=found.plan)

    @router.get("/pages/{name}")
    def static(name: str) -> Response:
        if name not in _STATIC:
            raise Refused(404, "There is no such file.")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        return FileResponse(HERE / "static" / name, media_type=_STATIC[name], headers=headers)

    return router
