"""Why something was not accepted, in words for whoever sent it: where, what it was, which rule."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from daemon.capture.items import Inputs, Scores, Segments
from daemon.capture.not_finite import has_any

SHOWN_CHARS = 80
"""Of a refused value: enough to find it, too little to be a leak of the whole."""
_MESSAGE = re.compile(r"^(?P<rule>.*?)(?: - at `(?P<path>[^`]+)`(?: in `(?P<parent>[^`]+)`)?)?$", re.DOTALL)
_FIELD = re.compile(r"`(?P<name>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)")


class Rejection(StrEnum):
    """A closed set, also the metric's label."""

    MALFORMED = "malformed"
    """No JSON, or none of the shapes a body may have."""
    MISSING = "missing"
    """A required field is not there."""
    UNKNOWN_FIELD = "unknown_field"
    INVALID = "invalid"
    """A type, a length or a range."""
    UNKNOWN_MODEL = "unknown_model"
    FUTURE = "future"
    """Dated further ahead of the server's clock than is allowed."""
    TOO_LARGE = "too_large"
    """A body above the limit of bytes or records; counted once a request."""
    BAD_REQUEST = "bad_request"
    """A content type or encoding that is not read; counted once a request."""
    OVERLOAD = "overload"
    """The disk does not write or the service is behind: not written, not acknowledged, to be sent again."""
    DISK_LOW = "disk_low"
    """Too little room is left: not read, not acknowledged, to be sent again later; counted once a request."""


class Rejected(Struct, frozen=True, gc=False):
    """One refused item. `index` counts the items of the body from 0; None is the body as a whole."""

    index: int | None
    path: str
    value: str | None
    """The start of the offending value as JSON; None where there is none."""
    rule: str
    reason: Rejection


def refused(index: int | None, path: str, value: Any, rule: str, reason: Rejection) -> Rejected:  # noqa: ANN401 (any JSON value)
    """A refusal with the value shortened."""
    return Rejected(index, path, None if value is None else _short(value), rule, reason)


def of_error(index: int | None, line: bytes, error: Exception) -> Rejected:
    """The decoder's error, with its path made exact and the value looked up."""
    if not isinstance(error, msgspec.ValidationError):
        shown = line[:SHOWN_CHARS].decode("utf-8", "replace")
        hint = "; NaN and Infinity are no JSON: send null" if has_any(line) else ""
        return Rejected(index, "$", shown, f"must be valid JSON in UTF-8: {error}{hint}", Rejection.MALFORMED)
    match = _MESSAGE.match(str(error))
    assert match is not None  # every part of the pattern is optional
    rule, path = match["rule"], match["parent"] or match["path"] or "$"
    field = _FIELD.search(rule)
    if field and rule.startswith("Object missing required field"):
        return Rejected(index, f"{path}.{field['name']}", None, "is required", Rejection.MISSING)
    value = _look_up(line, path)
    if field and rule.startswith("Object contains unknown field"):
        path, value = f"{path}.{field['name']}", value.get(field["name"]) if isinstance(value, dict) else None
        return refused(index, path, value, "is not a field that is known here", Rejection.UNKNOWN_FIELD)
    mapping, is_entry, _ = path.partition("[...]")
    if is_entry and isinstance(value, dict):
        path, value = _culprit(mapping, value, rule)
    elif match["parent"]:
        rule = f"every key: {rule}"
    return refused(index, path, value, rule, Rejection.INVALID)


def _look_up(line: bytes, path: str) -> Any:  # noqa: ANN401 (any JSON value)
    """The value at a path of fields; for `$.a[...]` and what is in it the whole of `$.a`."""
    try:
        value = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    for name in _STEP.findall(path.partition("[...]")[0]):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _culprit(path: str, values: dict[str, Any], rule: str) -> tuple[str, Any]:
    """Which entry of a mapping breaks the rule: the decoder does not say."""
    kind: Any = {"inputs": Inputs, "segments": Segments}.get(path.rpartition(".")[2], Scores)
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, kind)
        except msgspec.ValidationError:
            return f"{path}.{key[:SHOWN_CHARS]}", value
    return path, rule


def _short(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"
