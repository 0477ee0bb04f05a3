"""Joins the pages and puts them into the service's application."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from daemon.show.pages.access import Access, Refused
from daemon.show.pages.actions import actions
from daemon.show.pages.desk import Desk
from daemon.show.pages.looks import looks
from daemon.show.pages.render import Pages
from daemon.show.pages.sessions import Sessions
from daemon.show.pages.signing import signing

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response

    from daemon.settings import Settings
    from daemon.show.guard import Guard
    from daemon.show.operations import Operations
    from daemon.store.ledger import Ledger


def add_pages(
    app: FastAPI, operations: Operations, settings: Settings, ledger: Ledger, *, guard: Guard, now: Callable[[], float]
) -> Callable[[Request, Refused], Response]:
    """All routes; a refusal inside them is a page of its own, which is given back."""
    sessions = Sessions(time.monotonic)
    desk = Desk(
        operations=operations,
        settings=settings,
        ledger=ledger,
        access=Access(settings.http, guard, sessions),
        sessions=sessions,
        pages=Pages(app.version),
        now=now,
    )
    for router in (looks(desk), actions(desk), signing(desk, guard)):
        app.include_router(router)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return desk.sentence(request, error)

    app.add_exception_handler(Refused, refused)
    return desk.sentence
