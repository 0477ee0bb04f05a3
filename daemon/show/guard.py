"""Who may operate: a bearer token everywhere but on loopback, where only this machine's own programs (no web page) may."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING

from fastapi import HTTPException, Request

if TYPE_CHECKING:
    from daemon.settings import HttpSettings


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen on is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """A dependency of every operate endpoint; raises 401 or 403 with the remedy."""

    def __init__(self, http: HttpSettings) -> None:
        self._token = http.token.get_secret_value() if http.token else None
        self._is_loopback = is_loopback(http.host)

    def __call__(self, request: Request) -> None:
        """Let pass or refuse."""
        if self._token is not None:
            self._check_token(self._token, request)
        elif not self._is_loopback:
            raise HTTPException(403, "operating from the network needs a token: start the service with RETUNED_TOKEN set")
        else:
            _refuse_web_pages(request)

    @staticmethod
    def _check_token(token: str, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
            raise HTTPException(401, "operating needs the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})


def _refuse_web_pages(request: Request) -> None:
    """Without a token a page in this machine's browser could operate: by a cross-site POST or a name rebound to 127.0.0.1."""
    host = request.url.hostname or ""
    origin = request.headers.get("origin")
    if not is_loopback(host) or (origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}"):
        raise HTTPException(
            403, "without a token only programs on this machine may operate, by 127.0.0.1 or localhost; or set RETUNED_TOKEN"
        )
