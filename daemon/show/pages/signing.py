"""Signing in with the operate token, and out."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response

from daemon.show.guard import Guard
from daemon.show.pages.access import COOKIE, Refused
from daemon.show.pages.desk import Desk
from daemon.show.pages.forms import Fields, form, person
from daemon.show.pages.render import go
from daemon.show.pages.sessions import LASTS_S

_OURS = re.compile(r"/(?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]*")
"""A path of these pages: no scheme, no host, no backslash, nothing encoded."""


def own_path(path: str) -> str:
    """Where to go after signing in; anything but one of our own paths becomes the first page."""
    return path if _OURS.fullmatch(path) else "/"


def signing(desk: Desk, guard: Guard) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/signin")
    def ask(request: Request) -> Response:
        return desk.page(request, "signin.html", wrong=None, next=own_path(request.query_params.get("next", "/")))

    @router.post("/signin")
    def sign_in(request: Request, fields: Annotated[Fields, Depends(form)]) -> Response:
        if not desk.access.is_own(request):
            raise Refused(403, "This form was sent by another site.")
        if not guard.needs_token:
            raise Refused(409, "There is nothing to sign in to: this service has no token.")
        after, name = own_path(fields.get("next", "/")), person(fields, None)
        if not _knows(guard, request, fields.get("token", "")):
            return desk.page(request, "signin.html", status=401, wrong="That is not the token.", next=after)
        session = desk.sessions.open(name)
        root = desk.access.root(request)
        answer = go(f"{root}{after}")
        answer.set_cookie(
            COOKIE,
            session.id,
            max_age=int(LASTS_S),
            path=root or "/",
            secure=desk.access.is_https(request),
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.post("/signout")
    def sign_out(request: Request, fields: Annotated[Fields, Depends(form)]) -> Response:
        desk.access.check(request, fields.get("token", ""))
        desk.sessions.close(request.cookies.get(COOKIE))
        root = desk.access.root(request)
        answer = go(f"{root}/")
        answer.delete_cookie(COOKIE, path=root or "/")
        return answer

    return router


def _knows(guard: Guard, request: Request, token: str) -> bool:
    try:
        return guard.knows(request, token)
    except HTTPException as e:
        raise Refused(e.status_code, str(e.detail)) from None
