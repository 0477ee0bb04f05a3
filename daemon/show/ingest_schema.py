"""Documents the raw ingest routes in /openapi.json: they are served by an ASGI app of their own, with types of msgspec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI

_ERROR = {
    "type": "object",
    "properties": {
        "index": {"type": "integer", "description": "Which one of the batch, from 0."},
        "path": {"type": "string", "description": "Where in it, as in $.output.scores."},
        "value": {"description": "What was there, shortened."},
        "rule": {"type": "string", "description": "What is asked for."},
        "reason": {"type": "string", "description": "Closed set; also the metric's label."},
    },
}
_STATUS = {
    "200": "Acknowledged: the good ones are on disk; the bad ones are named by index.",
    "400": "The body is no JSON object, array or NDJSON.",
    "413": "Larger than http.max_body_bytes or http.max_batch_n.",
    "415": "Content type is neither application/json nor application/x-ndjson.",
    "422": "Every one of them is bad.",
    "503": "Nothing was acknowledged (the disk is full, say): send it again after Retry-After.",
}


def add_ingest(app: FastAPI, ingest: Mapping[str, type]) -> None:
    """Make `app.openapi()` tell of these routes too: path -> type of one item."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            schemas, components = msgspec.json.schema_components(ingest.values(), ref_template="#/components/schemas/{name}")
            schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
            for path, item in zip(ingest, schemas, strict=True):
                schema["paths"][path] = {"post": _operation(path, item)}
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def _operation(path: str, item: dict[str, Any]) -> dict[str, Any]:
    what = path.rsplit("/", 1)[-1]
    answer = {"type": "object", "properties": {"accepted": {"type": "integer"}, "rejected": {"type": "array", "items": _ERROR}}}
    json = {"schema": {"oneOf": [item, {"type": "array", "items": item}]}}
    ndjson = {"schema": {"type": "string", "description": "One JSON object a line."}}
    responses = {code: {"description": text} for code, text in _STATUS.items()}
    with_body = {**responses, "200": {**responses["200"], "content": {"application/json": {"schema": answer}}}}
    return {
        "summary": f"Post {what}: one JSON object, an array, or NDJSON",
        "operationId": f"post_{what}",
        "requestBody": {"required": True, "content": {"application/json": json, "application/x-ndjson": ndjson}},
        "responses": with_body,
    }
