"""A submitted form: bounded, url-encoded, each field once."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

from daemon.show.pages.access import Refused

Fields = Mapping[str, str]

_MOST_BYTES = 16_384
_MOST_FIELDS = 16


async def form(request: Request) -> Fields:
    """The fields, stripped; `Refused` for what no form of ours sends."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "a form is sent as application/x-www-form-urlencoded; for programs there is the API (/openapi.json)")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise Refused(413, f"a form holds at most {_MOST_BYTES} bytes")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise Refused(400, "this is not a form of these pages") from None
    return {name: value.strip() for name, value in fields}


def person(fields: Mapping[str, str], signed_in: str | None) -> str:
    """Who acts: the signed-in name, or the one in the form; it goes into the ledger."""
    name = signed_in or fields.get("by", "")
    if not name or len(name) > 128 or not name.isprintable():  # noqa: PLR2004 (as the API has it)
        raise Refused(422, "your name is needed (at most 128 characters): it goes into the ledger; go back and fill it in")
    return name


def reason(fields: Mapping[str, str]) -> str:
    """Why that person acts."""
    because = fields.get("because", "")
    if len(because) > 1000 or "\x00" in because:  # noqa: PLR2004 (as the API has it)
        raise Refused(422, "the reason holds at most 1000 characters, none of them NUL; go back and change it")
    return because
