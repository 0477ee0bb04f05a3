"""The rules for Prometheus, in the syntax of 2.42. `dashboards.build` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from dashboards import rules_model, rules_service

if TYPE_CHECKING:
    from dashboards.rule import Alert, Recorded

_HEAD = """\
# Written by `python -m dashboards.build` from dashboards/rules_service.py and rules_model.py: change those.
# docs/alerts.md says how to load these rules and route them; docs/runbooks/NAME.md what to do when one fires.
"""

ALERTS: tuple[Alert, ...] = (*rules_service.ALERTS, *rules_model.ALERTS)


def rules_text() -> str:
    """The rules file. Recording rules come first in their group: an alert reads what was recorded in the same evaluation."""
    groups = [
        _group("retuned-service", rules_service.RECORDED, rules_service.ALERTS),
        _group("retuned-models", rules_model.RECORDED, rules_model.ALERTS),
    ]
    return _HEAD + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def _group(name: str, recorded: tuple[Recorded, ...], alerts: tuple[Alert, ...]) -> dict[str, Any]:
    return {"name": name, "rules": [*(r.rule() for r in recorded), *(a.rule() for a in alerts)]}


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block."""


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _string)
