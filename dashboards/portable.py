"""JSON that an old Grafana (7.5) and a new one read alike: the SDK writes for a new one only.

A new Grafana migrates what an old one wrote, never the other way round; so the forms of schema version 27 are used where they differ:
a data source is a string, a value mapping a list of texts.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from daemon.show.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_foundation_sdk.models.dashboard import Dashboard

SCHEMA_VERSION = 27
"""Of Grafana 7.5."""
_OF_OTHER_VARIABLES = ("id", "auto", "auto_min", "auto_count")
"""What the SDK writes for every variable: an old Grafana takes equal ids for one variable."""
_NAME = re.compile(r"\bretuned_[a-z0-9_]+")
_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")


def dashboard_text(dashboard: Dashboard) -> str:
    """The file's content; `LookupError` when an expression names a metric that the service does not export."""
    body = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    for expr in expressions(body):
        unknown = {name for name in _NAME.findall(expr) if name not in BY_NAME and _HISTOGRAM.sub("", name) not in BY_NAME}
        if unknown:
            raise LookupError(f"{', '.join(sorted(unknown))} in {expr!r}: not in the table of metrics (daemon/show/metrics.py)")
    return json.dumps(_portable(body), indent=2, ensure_ascii=False) + "\n"


def expressions(node: Any) -> Iterator[str]:  # noqa: ANN401 (any JSON)
    """Every expression in a dashboard: of panels, annotations and variables."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "expr":
                yield value
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def _portable(body: dict[str, Any]) -> dict[str, Any]:
    """The whole dashboard in the older forms, every panel with a number."""
    found: dict[str, Any] = _older(body)
    found["schemaVersion"] = SCHEMA_VERSION
    for number, panel in enumerate(found["panels"], start=1):
        panel["id"] = number
    for variable in found["templating"]["list"]:
        for name in _OF_OTHER_VARIABLES:
            variable.pop(name, None)
        variable |= {"current": {}, "options": []}
    return found


def _older(node: Any) -> Any:  # noqa: ANN401 (any JSON)
    match node:
        case {"type": "prometheus", "uid": uid}:
            return uid
        case {"id": "mappings", "value": mappings} | {"mappings": mappings}:
            return {key: _texts(value) if value is mappings else _older(value) for key, value in node.items()}
        case dict():
            return {key: _older(value) for key, value in node.items()}
        case list():
            return [_older(value) for value in node]
        case _:
            return node


def _texts(mappings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """{"type": "value", "options": {"1": {"text": "open"}}} -> {"id": 1, "type": 1, "value": "1", "text": "open"}."""
    pairs = [(value, result["text"]) for mapping in mappings for value, result in mapping["options"].items()]
    return [{"id": i, "type": 1, "value": value, "text": text} for i, (value, text) in enumerate(pairs, start=1)]
