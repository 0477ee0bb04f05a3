"""Who may operate: a bearer token everywhere but on loopback, where only this machine's own programs (no foreign web page) may."""

from __future__ import annotations

import ipaddress
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from daemon.show.attempts import Attempts

if TYPE_CHECKING:
    from daemon.settings_service import HttpSettings

CLOSED = "operating from the network needs a token: start the service with RETUNED_TOKEN set"
"""Off loopback without a token."""
NOT_LOCAL = "without a token only programs on this machine may operate, by 127.0.0.1 or localhost; or set RETUNED_TOKEN"


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen on is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_own_origin(request: Request, *, also: str | None = None) -> bool:
    """True when no web page sent it, or one of this service: as the request names it, or under `also` (the URL people use)."""
    origin = request.headers.get("origin")
    own = {f"{request.url.scheme}://{request.url.netloc}"}
    if also is not None:
        parts = urlsplit(also)
        own.add(f"{parts.scheme}://{parts.netloc}")
    return origin is None or origin in own


class Guard:
    """A dependency of every operate endpoint; raises 401, 403 or 429 with the remedy."""

    def __init__(self, http: HttpSettings) -> None:
        self._token = http.token.get_secret_value() if http.token else None
        self._attempts = Attempts(time.monotonic)
        self.needs_token = self._token is not None
        self.is_closed = self._token is None and not is_loopback(http.host)
        """True: nobody operates."""

    def __call__(self, request: Request) -> None:
        """Let pass or refuse."""
        if self.is_closed:
            raise HTTPException(403, CLOSED)
        if self.needs_token:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self.knows(request, given):
                raise HTTPException(401, "operating needs the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        elif not is_local(request):
            raise HTTPException(403, NOT_LOCAL)

    def knows(self, request: Request, given: str) -> bool:
        """Whether it is the token; a wrong one is counted, and after too many of them 429 whatever is given."""
        address = request.client.host if request.client else ""
        wait_s = self._attempts.wait_s(address)
        if wait_s > 0.0:
            raise HTTPException(429, "too many wrong tokens; wait a minute", {"Retry-After": str(int(wait_s) + 1)})
        if self._token is not None and secrets.compare_digest(given.strip().encode(), self._token.encode()):
            return True
        self._attempts.wrong(address)
        return False


def is_local(request: Request) -> bool:
    """Without a token a page in this machine's browser could operate: by a cross-site POST or a name rebound to 127.0.0.1."""
    return is_loopback(request.url.hostname or "") and is_own_origin(request)
