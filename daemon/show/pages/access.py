"""Who looks at a page, and whether that person may act: as the API has it, with a signed-in session in place of the bearer token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from daemon.show.guard import CLOSED, NOT_LOCAL, Guard, is_local, is_own_origin

if TYPE_CHECKING:
    from fastapi import Request

    from daemon.settings_service import HttpSettings
    from daemon.show.pages.sessions import Session, Sessions

COOKIE = "retuned_session"


class Refused(Exception):  # noqa: N818 (a domain failure, not a bug: house style)
    """An action that is not carried out, with the status and the sentence for the person."""

    def __init__(self, status: int, because: str) -> None:
        super().__init__(because)
        self.status, self.because = status, because


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """What a page needs to know of whoever asked for it."""

    may_act: bool
    """True: forms are shown."""
    may_sign_in: bool
    because: str
    """Why not; empty when that person may."""
    person: str | None
    """The signed-in name; None = forms ask for one."""
    token: str
    """What forms carry."""
    root: str
    """What links begin with: the path of the external URL, mostly empty."""


class Access:
    """Built once; asked by every page and before every action."""

    def __init__(self, http: HttpSettings, guard: Guard, sessions: Sessions) -> None:
        self._guard, self._sessions, self._external = guard, sessions, http.external_url

    def visitor(self, request: Request) -> Visitor:
        """Whoever asked for this page."""
        session = self.session(request)
        because = self._why_not(request, session)
        return Visitor(
            may_act=not because,
            may_sign_in=self._guard.needs_token and session is None,
            because=because,
            person=session.person if session else None,
            token="" if because else self._sessions.form_token(session),
            root=self.root(request),
        )

    def check(self, request: Request, token: str) -> Visitor:
        """Before an action: raises `Refused` for a foreign origin, a stale form, or somebody who may not."""
        visitor = self.visitor(request)
        if not self.is_own(request):
            raise Refused(403, "this form was sent by another site: nothing was done")
        if not visitor.may_act:
            raise Refused(403, f"nothing was done: {visitor.because}")
        if not secrets.compare_digest(token.encode(), visitor.token.encode()):
            raise Refused(
                403, "nothing was done: this form is from before the last sign-in or restart; go back, reload the page and try again"
            )
        return visitor

    def is_own(self, request: Request) -> bool:
        """Whether the request comes from a page of this service, or from no page."""
        return is_own_origin(request, also=self._external)

    def session(self, request: Request) -> Session | None:
        """The signed-in one, where signing in is possible at all."""
        return self._sessions.find(request.cookies.get(COOKIE)) if self._guard.needs_token else None

    def root(self, request: Request) -> str:
        """The external URL's path, when the page was asked for by that URL."""
        parts = urlsplit(self._external or "")
        return parts.path if parts.netloc == request.url.netloc else ""

    def is_https(self, request: Request) -> bool:
        """Whether the browser speaks https, to this process or to the proxy in front of it."""
        parts = urlsplit(self._external or "")
        return request.url.scheme == "https" or (parts.scheme == "https" and parts.netloc == request.url.netloc)

    def _why_not(self, request: Request, session: Session | None) -> str:
        if self._guard.is_closed:
            return CLOSED
        if self._guard.needs_token:
            return "" if session else "sign in to act"
        return "" if is_local(request) else NOT_LOCAL
