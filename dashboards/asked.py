"""What Grafana would ask Prometheus for a committed dashboard: variables found and replaced."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
_LABEL_VALUES = re.compile(r"^label_values\((?P<selector>.+), *(?P<label>\w+)\)$")
_VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")
_OF_GRAFANA = {"__rate_interval": "10s", "__interval": "1s", "__range": "10m"}
"""As of a scrape every second; a longer one is given by the caller."""


def board(name: str) -> dict[str, Any]:
    """The committed dashboard."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return found


def variables(name: str) -> dict[str, tuple[str, str]]:
    """Variable -> (selector, label) of its `label_values`, in the dashboard's order."""
    found = {v["name"]: _LABEL_VALUES.match(v["query"]) for v in board(name)["templating"]["list"] if v["type"] == "query"}
    return {key: (match["selector"], match["label"]) for key, match in found.items() if match is not None}


def many(name: str) -> set[str]:
    """Variables that may have several values at once."""
    return {v["name"] for v in board(name)["templating"]["list"] if v["multi"]}


def escaped(value: str) -> str:
    """As Grafana's data source writes a value of such a variable into an expression: for a regular expression in a PromQL string."""
    return _SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\" * 4))


def replaced(text: str, chosen: Mapping[str, str]) -> str:
    """An expression or a title with its variables replaced; `KeyError` names one that has no value."""
    known = {**_OF_GRAFANA, **chosen}
    return _VARIABLE.sub(lambda found: known[found[1]], text)


def named_in(text: str) -> set[str]:
    """Variables that a text has."""
    return {found[1] for found in _VARIABLE.finditer(text)}
