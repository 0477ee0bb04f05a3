"""docs/runbooks over HTTP: an alert's link works where the repository cannot be reached, and is of the version that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse, Response

_HERE = Path(__file__).resolve()
_FOLDERS = (_HERE.parent / "runbooks", _HERE.parents[2] / "docs" / "runbooks")
"""In the wheel; in a checkout."""


def runbooks() -> APIRouter:
    """GET /runbooks/NAME."""
    router = APIRouter()

    @router.get("/runbooks/{name}", summary="What an alert means, what to check, what to do", response_class=PlainTextResponse)
    def runbook(name: Annotated[str, InPath(pattern="^[A-Za-z]{1,64}$")]) -> Response:
        found = next((path for folder in _FOLDERS if (path := folder / f"{name}.md").is_file()), None)
        if found is None:
            raise HTTPException(404, f"no runbook {name}")
        return PlainTextResponse(
            found.read_text(encoding="utf-8"), media_type="text/markdown", headers={"X-Content-Type-Options": "nosniff"}
        )

    return router
