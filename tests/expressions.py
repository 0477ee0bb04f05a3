"""Every expression that Grafana and Prometheus are given by the committed files, with its owner; variables replaced by what they may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import promql_parser
import yaml

from daemon.show.metrics import BY_NAME
from dashboards.asked import HERE
from dashboards.asked import board as committed

BOARDS = tuple(sorted(path.stem for path in HERE.glob("*.json")))
RULES = HERE / "rules.yaml"
_OF_PROMETHEUS = {"up", "ALERTS", "ALERTS_FOR_STATE"}
_OF_THE_PROCESS = "process_"
_ADDED_LABELS = {"job", "instance", "le"}


@dataclass(frozen=True, kw_only=True)
class Expression:
    owner: str
    """"fleet: Models: Traffic", "rules: RetunedServiceDown"."""
    text: str


def of_panels(board: str) -> Iterator[Expression]:
    """Panels and annotations of a committed dashboard."""
    body = committed(board)
    for panel in body["panels"]:
        for target in panel.get("targets", []):
            owner = f"{board}: {panel['title']}: {target['legendFormat']}"
            yield Expression(owner=owner, text=target["expr"])
    for annotation in body["annotations"].get("list", []):
        yield Expression(owner=f"{board}: annotation: {annotation['name']}", text=annotation["expr"])


@cache
def rules() -> list[dict[str, Any]]:
    """The committed rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def of_rules() -> Iterator[Expression]:
    """Alerts and recording rules."""
    for rule in rules():
        yield Expression(owner=f"rules: {rule.get('alert') or rule['record']}", text=rule["expr"])


def selectors(text: str) -> list[Any]:
    """Every vector selector of an expression that has no variables left; `ValueError` when it is no PromQL."""
    return list(_selectors(promql_parser.parse(text)))


def metrics_of(text: str) -> set[str]:
    """Metrics of the service's table that it reads."""
    return {name for s in selectors(text) if (name := in_table(s.name))}


def in_table(name: str) -> str | None:
    """Name in the table of a series' name; a histogram's series have three."""
    plain = re.sub(r"_(bucket|sum|count)$", "", name)
    return name if name in BY_NAME else plain if plain in BY_NAME else None


def unknown(text: str) -> set[str]:
    """Names and labels that neither the service nor Prometheus nor a recording rule has."""
    records = {rule["record"] for rule in rules() if "record" in rule}
    found = set()
    for selector in selectors(text):
        name = in_table(selector.name)
        if name is None:
            if selector.name not in records | _OF_PROMETHEUS and not selector.name.startswith(_OF_THE_PROCESS):
                found.add(selector.name)
            continue
        labels = {matcher.name for matcher in selector.matchers.matchers}
        found |= {f"{name}{{{label}}}" for label in labels - set(BY_NAME[name].labels) - _ADDED_LABELS}
    return found


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "param", "args"):
        child = getattr(node, name, None)
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, promql_parser.Expr):
                yield from _selectors(each)
