"""What the routes share: a JSON answer that nobody caches, and a model by its name or 404."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import HTTPException
from fastapi.responses import Response

if TYPE_CHECKING:
    from daemon.show.operations import Operations
    from daemon.show.views import ModelView


def json_answer(body: Any, *, status: int = 200) -> Response:  # noqa: ANN401 (JSON)
    """As JSON, never cached."""
    return Response(msgspec.json.encode(body), status, media_type="application/json", headers={"Cache-Control": "no-store"})


def model_of(operations: Operations, name: str) -> ModelView:
    """404 says which exist."""
    snapshot = operations.snapshot()
    found = snapshot.model(name)
    if found is None:
        known = ", ".join(m.name for m in snapshot.models)
        raise HTTPException(404, f"no model {name[:64]!r}; the settings know: {known}")
    return found
