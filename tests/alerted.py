"""An alert as it reaches a person: whose it is, how bad, and every sentence and link of it whole."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.expressions import RULES, rules

WATCHDOG = ("", "RetunedWatchdog")
FIGURE = re.compile(r"\S is -?[\d.e-]+, between -?[\d.e-]+ and -?[\d.e-]+ \(\w+\)\.")
_UNRENDERED = re.compile(r"\{\{|\}\}|<no value>|<nil>|<error|%!|NaN")
_DURATION = re.compile(r"(\[|for: |offset )(\d+)([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SCALE = 20


def scaled() -> str:
    """The committed rules with every window and wait a twentieth: 45 s for 15 minutes. Thresholds are what they are."""
    return _DURATION.sub(lambda found: f"{found[1]}{int(found[2]) * _SECONDS[found[3]] // _SCALE}s", RULES.read_text())


def check_told(alert: dict[str, Any]) -> None:
    """Labels and annotations of its rule, nothing unrendered, and links that lead somewhere."""
    labels, told = alert["labels"], alert["annotations"]
    (rule,) = (rule for rule in rules() if rule.get("alert") == labels["alertname"])
    about = {"model": labels["model"]} if "$labels.model" in rule["annotations"]["summary"] else {}
    assert labels == {"alertname": rule["alert"], "job": "retuned", "severity": rule["labels"]["severity"], **about}
    assert told.keys() == rule["annotations"].keys()
    for name, text in told.items():
        assert text, f"{name} is empty"
        assert not _UNRENDERED.search(text), text
        if name.endswith("_url"):
            assert httpx.get(text, follow_redirects=True, timeout=60.0).status_code == 200, text
    assert labels.get("model", "") in told["summary"]
    assert told["runbook_url"].endswith(f"/runbooks/{rule['alert']}")
