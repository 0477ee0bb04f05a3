"""No request to the API is read beyond what its largest question needs, and no path holds what a database cannot.

The ingest routes have bounds of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 65_536
"""A reason of 1,000 characters, four bytes each and escaped, fits several times."""


@dataclass(frozen=True)
class Bounded:
    """ASGI middleware: whoever reads a larger body gets 413; a path with NUL is found nowhere."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what is read."""
        if "\x00" in scope.get("path", ""):
            await PlainTextResponse("not found", 404)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BYTES:
                raise HTTPException(413, f"a request here holds at most {MOST_BYTES} bytes")
            return message

        await self.app(scope, counted, send)
