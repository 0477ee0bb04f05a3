"""Every registered detector as it documents itself: what `retuned detectors` prints and docs/detectors.md is made of. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detectors import registry
from detectors.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HEAD = """# Detectors

Written by `retuned detectors --markdown`; not edited by hand. A plug-in of the entry point group `retuned.detectors` is listed by the same
command. One that **alarms** is sequential: it sees each record or labelled pair once and its promise survives looking at every pane. One
that **informs** looks at a window once, and the policy never acts on it. One that **explains** is sequential too, but wakes nobody: an
incident's diagnosis reads it. One that **estimates** speaks of the latest records and wakes nobody either. [validity.md](validity.md) says
what the promises did when they were tried.
"""
_ORDER = (Kind.ALARMS, Kind.EXPLAINS, Kind.ESTIMATES, Kind.INFORMS)
_EVIDENCE = {
    "PValue": "p-value (valid at one look)",
    "EValue": "e-value (valid at any look)",
    "EDetectorValue": "e-detector (a mean run length)",
    "Score": "score (a limit set by hand)",
}
_EXPLAINING = "e-detector (a mean run length), for the diagnosis only"
"""Of a wealth that is given as a score, since it alarms nobody."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One argument of a detector."""

    name: str
    default: str | None
    """As Python writes it; None = must be given."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One detector."""

    name: str
    kind: Kind
    idea: str
    """First paragraph of its docstring."""
    eats: tuple[str, ...]
    """What part of its input it reads."""
    evidence: str
    """Name of its type."""
    guarantee: str
    assumption: str
    cost: str
    source: str
    settings: tuple[Setting, ...]


def entries() -> list[Entry]:
    """Every detector that can be built, those that alarm first, those that explain next, then by name."""
    found = [_entry(name, registry.detector_class(name)) for name in registry.names()]
    return sorted(found, key=lambda entry: (_ORDER.index(entry.kind), entry.name))


def _entry(name: str, cls: type[Any]) -> Entry:
    return Entry(
        name=name,
        kind=cls.kind,
        idea=" ".join((cls.__doc__ or "").split("\n\n")[0].split()),
        eats=tuple(sorted(part.value for part in cls.eats)),
        evidence=cls.evidence.__name__,
        guarantee=cls.guarantee,
        assumption=cls.assumption,
        cost=cls.cost,
        source=cls.source,
        settings=tuple(Setting(name=f.name, default=_default(f)) for f in dataclasses.fields(cls) if f.init),
    )


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else None


def as_data(found: Iterable[Entry]) -> list[dict[str, Any]]:
    """For JSON."""
    return [dataclasses.asdict(entry) for entry in found]


def as_markdown(found: Sequence[Entry]) -> str:
    """A table of all, and a section for each."""
    parts = [_HEAD]
    for kind, title in zip(_ORDER, ("These alarm", "These explain", "These estimate", "These inform"), strict=True):
        chosen = [entry for entry in found if entry.kind is kind]
        rows = [f"| [{e.name}](#{e.name}) | {', '.join(e.eats)} | {_evidence(e)} | {_cell(e.guarantee)} |" for e in chosen]
        parts.append("\n".join([f"## {title}\n", "| detector | input | evidence | guarantee |", "|---|---|---|---|", *rows, ""]))
    return "\n".join([*parts, *(_section(entry) for entry in found)])


def _evidence(entry: Entry) -> str:
    return _EXPLAINING if entry.kind is Kind.EXPLAINS else _EVIDENCE[entry.evidence]


def _section(entry: Entry) -> str:
    settings = ", ".join(f"`{s.name}`" if s.default is None else f"`{s.name}={s.default}`" for s in entry.settings)
    lines = [
        f"- {entry.kind.value}; reads: {', '.join(entry.eats)}; evidence: {_evidence(entry)}",
        f"- guarantee: {entry.guarantee}",
        f"- assumption: {entry.assumption}",
        f"- cost: {entry.cost}",
        f"- source: {entry.source}",
        f"- settings: {settings or 'none'}",
    ]
    return "\n".join([f"## {entry.name}\n", f"{entry.idea}\n", *lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
