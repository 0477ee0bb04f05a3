"""What pages pick from a snapshot to show: the figure of a model, its nearest evidence, a run's way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from daemon.decide.absorbing import why_not
from daemon.decide.run import WAITING, State, is_ended
from daemon.show.pages.draw import evidence_share
from daemon.show.pages.words import sounding
from detectors.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from daemon.show.views import EventView, IncidentView, ModelView, RunView, VerdictView
    from daemon.store.epochs import Epoch

MOST_ALARMS = 20
"""More than these are folded, unless there is nothing else to be read."""
_WAY = (
    State.PLANNED,
    State.COLLECTING,
    State.DATASET,
    State.TRAINING,
    State.EVALUATING,
    State.GATED,
    State.REGISTERED,
    State.PROMOTED,
    State.WATCHING,
    State.KEPT,
)


def ordered(verdicts: Iterable[VerdictView]) -> list[VerdictView]:
    """Alarms first, then what else says something; by subject."""
    rank = {"alarm": 0, "ok": 1}
    return sorted(verdicts, key=lambda v: (rank.get(v.outcome, 2), not v.evidence.kind.startswith("e_"), v.subject, v.detector))


def parted(verdicts: Iterable[VerdictView]) -> tuple[list[VerdictView], list[VerdictView]]:
    """(all else, inputs within segments): the latter are columns by values, too many to be read among the others."""
    found: tuple[list[VerdictView], list[VerdictView]] = ([], [])
    for v in verdicts:
        found[_is_inside(v.subject)].append(v)
    return found


def _is_inside(subject: str) -> bool:
    return subject.startswith(("input.", "segment.")) and subject.endswith("]")


def alarmed(incident: IncidentView) -> tuple[list[tuple[str, Mapping[str, Any]]], list[tuple[str, Mapping[str, Any]]]]:
    """Its subjects by key, in the order in which they alarmed: (all else, inputs within segments)."""
    found: tuple[list[tuple[str, Mapping[str, Any]]], list[tuple[str, Mapping[str, Any]]]] = ([], [])
    for key, s in sorted(incident.subjects.items(), key=lambda item: (item[1].get("first_at", 0.0), item[0])):
        found[_is_inside(str(s.get("subject", key)))].append((key, s))
    return found


def folded(events: Iterable[EventView]) -> list[list[EventView]]:
    """One by one; alarms that follow each other, more of them than can be read, together."""
    found: list[list[EventView]] = []
    for is_alarm, group in groupby(events, key=lambda e: e.kind == "alarm"):
        together = list(group)
        found += [together] if is_alarm and len(together) > MOST_ALARMS else [[e] for e in together]
    return found


def decision(model: ModelView) -> str:
    """The newest decision of the policy, with its reason."""
    newest = next((e.data for e in model.events if e.kind == "decision"), None)
    return f"{newest.get('decision')}: {newest.get('because')}" if newest else "nothing is decided yet"


def headline(model: ModelView, metric: str | None) -> VerdictView | None:
    """The performance figure of a model: the metric of its settings, of the label that does worst."""
    found = [v for v in model.verdicts if v.detector == metric and v.outcome != Outcome.INSUFFICIENT]
    return min(found, key=lambda v: v.value, default=None)


def strongest(model: ModelView) -> VerdictView | None:
    """The sequential detector that is nearest to its limit, or furthest beyond."""
    found = [v for v in model.verdicts if v.evidence.kind.startswith("e_") and v.outcome != Outcome.INSUFFICIENT]
    return max(found, key=lambda v: evidence_share(v.evidence), default=None)


def active_run(model: ModelView) -> RunView | None:
    """At most one."""
    return next((r for r in model.runs if r.ended_at is None), None)


def promotable(model: ModelView, epochs: Iterable[Epoch], barred: Iterable[str]) -> list[str]:
    """Versions that a person could make champion: one that waits, and those that were it before."""
    run = active_run(model)
    waiting = [run.version] if run is not None and run.version and run.state in WAITING else []
    known = dict.fromkeys([*waiting, *(e.version for e in epochs)])
    now = model.champion.version if model.champion else None
    return [version for version in known if version != now and version not in set(barred)]


def subjects(incident: IncidentView) -> list[str]:
    """What an incident is about."""
    return sorted({str(s.get("subject", key)) for key, s in incident.subjects.items()})


def first_alarm(events: Iterable[EventView], subject: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The figures with which a subject alarmed first."""
    wanted = (subject.get("detector"), subject.get("subject"))
    return next((e.data for e in events if e.kind == "alarm" and (e.data.get("detector"), e.data.get("subject")) == wanted), None)


def absorbable(incident: IncidentView, model: ModelView | None) -> str:
    """Whether a button is shown: "proven", "forced" (a person who knows better may) or "" (no). The service asks again."""
    epoch = model.epoch.epoch if model is not None and model.epoch is not None else None
    if incident.epoch != epoch or (incident.closed_at is not None and not incident.held):
        return ""
    kinds = [str(s["kind"]) for s in incident.subjects.values() if "kind" in s]
    if why_not(kinds, incident.diagnosis, is_forced=True) is not None:
        return ""
    is_over = model is not None and not sounding(incident, model.verdicts)
    return "forced" if why_not(kinds, incident.diagnosis, is_forced=False, is_over=is_over) else "proven"


def absorbed(events: Iterable[EventView]) -> Mapping[str, Any] | None:
    """What was absorbed for an incident, by whom and why."""
    return next((e.data for e in events if e.kind == "reference.absorbed"), None)


@dataclass(frozen=True, slots=True)
class Step:
    """A state on a run's way."""

    word: str
    tone: str
    """done | now | ahead."""
    is_now: bool


def steps(state: str, entered: Iterable[EventView]) -> list[Step]:
    """The way of a run: the states it was in, then those that would follow if all goes well."""
    been = list(dict.fromkeys([str(e.data.get("state")) for e in entered] or [state]))
    if state not in been:
        been.append(state)
    last = next((i for i in reversed(range(len(_WAY))) if _WAY[i].value in been), 0)
    ahead = [] if is_ended(state) else [s.value for s in _WAY[last + 1 :] if s.value not in been]
    names = [(name, "now" if name == state else "done") for name in been] + [(name, "ahead") for name in ahead]
    return [Step(name.replace("_", " "), tone, tone == "now") for name, tone in names]


FILTERS: dict[str, Callable[..., Any]] = {
    "decision": decision,
    "alarmed": alarmed,
    "folded": folded,
    "ordered": ordered,
    "parted": parted,
    "headline": headline,
    "strongest": strongest,
    "active_run": active_run,
    "promotable": promotable,
    "subjects": subjects,
    "first_alarm": first_alarm,
    "absorbable": absorbable,
    "absorbed": absorbed,
    "steps": steps,
}
