"""Who is signed in, in the memory of this process: random ids, bounded in number and time. A restart signs everybody out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LASTS_S = 12 * 3600.0
MOST = 100
"""More sign the oldest out."""
_SAID_MOST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One browser that gave the token."""

    id: str
    person: str
    until: float


class Sessions:
    """Safe from any thread. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock, self._key = clock, threading.Lock(), secrets.token_bytes(32)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._said: OrderedDict[str, str] = OrderedDict()

    def open(self, person: str) -> Session:
        """A fresh one."""
        new = Session(id=secrets.token_urlsafe(32), person=person, until=self._clock() + LASTS_S)
        with self._lock:
            self._sessions[new.id] = new
            if len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
        return new

    def find(self, session_id: str | None) -> Session | None:
        """One that has not run out."""
        with self._lock:
            found = self._sessions.get(session_id or "")
            if found is not None and found.until <= self._clock():
                del self._sessions[found.id]
                found = None
            return found

    def close(self, session_id: str | None) -> None:
        """Signed out."""
        with self._lock:
            self._sessions.pop(session_id or "", None)

    def form_token(self, session: Session | None) -> str:
        """What a form must carry back; another site cannot read it. Bound to the session, or to this process where nobody signs in."""
        return hmac.new(self._key, (session.id if session else "local").encode(), hashlib.sha256).hexdigest()

    def say(self, sentence: str) -> str:
        """Keep a sentence for the next page; gives its key."""
        key = secrets.token_urlsafe(9)
        with self._lock:
            self._said[key] = sentence
            if len(self._said) > _SAID_MOST:
                self._said.popitem(last=False)
        return key

    def said(self, key: str | None) -> str | None:
        """That sentence, once: a link that somebody made up says nothing."""
        with self._lock:
            return self._said.pop(key or "", None)
