"""A recording rule and an alert: what every one of them has, and its form in a rules file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dashboards.words import OF_JOB, link

if TYPE_CHECKING:
    from collections.abc import Mapping


class Severity(StrEnum):
    """By harm: what has to happen when it fires."""

    PAGE = "page"
    """Somebody is harmed, or nothing is watched any more: wake a person."""
    TICKET = "ticket"
    """Work for the next day."""
    INFO = "info"
    """Worth knowing; nothing to do."""
    NONE = "none"
    """The watchdog: its silence is the alert."""


_LASTING = """
or
({} unless on (namespace, job) retuned_service_info and on (namespace, job) last_over_time(retuned_service_info[1h]))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A recording rule."""

    name: str
    expr: str
    is_lasting: bool = False
    """While nothing is scraped of the service (a restart, an answer too slow) it stays what it was, for an hour at most: else each such
    moment would end an alert and begin it anew."""

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": _text(self.expr + (_LASTING.format(self.name) if self.is_lasting else ""))}


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """An alert; `name` is also its runbook's."""

    name: str
    severity: Severity
    expr: str
    summary: str
    says: str
    """Figure and interval: what a person needs before a link is opened."""
    lasts: str | None = None
    """How long it must hold; None where the evidence itself is valid at any look, or the fact is one."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Annotation -> path under the external URL."""
    of: tuple[str, ...] = OF_JOB
    """The alert's labels that name the service whose external URL links begin with; () = any service's."""

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        links = {name: link(path, of=self.of) for name, path in self.links.items()}
        runbook = link(f"/runbooks/{self.name}", otherwise=f"docs/runbooks/{self.name}.md", of=self.of)
        return {
            "alert": self.name,
            "expr": _text(self.expr),
            **({"for": self.lasts} if self.lasts else {}),
            "labels": {"severity": self.severity.value},
            "annotations": {"summary": self.summary, "description": self.says, **links, "runbook_url": runbook},
        }


def _text(expr: str) -> str:
    """One line a clause, as it was written, without the margin of the source."""
    lines = [line.strip() for line in expr.strip().splitlines()]
    return "\n".join(lines)
