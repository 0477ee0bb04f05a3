"""What pages say in words: times with age, figures, and what state a model, an incident or a run is in. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from daemon.decide.belief import in_words
from daemon.decide.incident import AlarmKind
from daemon.decide.names import listed
from daemon.decide.run import State, is_ended
from daemon.decide.times import lasting, when
from detectors.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from daemon.show.views import EvidenceView, IncidentView, ModelView, VerdictView


class Tone(StrEnum):
    """How loud a word is shown; the word itself says the same."""

    BAD = "bad"
    WARN = "warn"
    GOOD = "good"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Word:
    """A state in a word, with a sentence."""

    tone: Tone
    word: str
    because: str


_HARMS = frozenset({AlarmKind.RISK, AlarmKind.PERFORMANCE, AlarmKind.FAIRNESS})
_KINDS = {
    AlarmKind.DRIFT: "its traffic differs from the reference",
    AlarmKind.RISK: "it is wrong more often than it was made to be",
    AlarmKind.PERFORMANCE: "its performance is below the limit",
    AlarmKind.FAIRNESS: "groups are treated differently beyond the limit",
    AlarmKind.QUALITY: "its data come damaged",
    AlarmKind.CALIBRATION: "its confidence no longer says how often it is right",
    AlarmKind.BIAS: "its answers are too high or too low, or further off, than before",
}
_HARM = {"harmful": "Harmful", "benign": "Benign", "likely": "Likely harmful", "unknown": "Not known to be harmful"}
_SHIFTS = {
    "covariate": "a shift of the inputs",
    "concept": "a shift of what is right",
    "label": "a shift of the classes' shares",
    "damage": "damaged data",
}
_ALONE: dict[frozenset[str | None], str] = {
    frozenset({AlarmKind.CALIBRATION}): "Its confidence is off; that it is wrong more often is not proven. Recalibrate its scores.",
    frozenset(
        {AlarmKind.BIAS}
    ): "Its answers are too high or too low, or further off, than before; that its loss is too high is not proven."
    " Look for what changed, or correct them by as much.",
    frozenset({AlarmKind.QUALITY}): "Not known to be harmful: data come damaged (missing, unreadable, out of range, repeated)."
    " See to their source.",
}
_RUN_TONES = {State.KEPT: Tone.GOOD, State.PROMOTED: Tone.GOOD, State.AWAITING_APPROVAL: Tone.WARN}
_RUN_BAD = frozenset({State.FAILED, State.INVALID, State.ROLLED_BACK, State.REJECTED})


def stamp(at: float) -> str:
    """An instant, UTC, to the second: for what follows closely."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(at: float) -> str:
    """An instant for machines."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def age(at: float, now: float) -> str:
    """How far away, in the largest unit that says enough."""
    said = lasting(abs(now - at))
    return f"in {said}" if at > now + 1.0 else f"{said} ago"


def figure(x: float) -> str:
    """Three digits that matter."""
    return f"{x:.0f}" if abs(x) >= 1000 else f"{x:.3g}"  # noqa: PLR2004 (beyond it .3g turns to powers of ten)


def of_model(model: ModelView, now: float) -> Word:
    """The state of a model: the loudest thing that is true of it."""
    incident = model.open_incident
    if model.champion is None:
        return Word(Tone.CALM, "no champion", "No champion yet: it is taken from the registry, or from the first records.")
    if incident is not None:
        return _as_it_is(incident, model, of_incident(incident, now))
    loud = [v for v in model.verdicts if v.outcome == Outcome.ALARM and v.evidence.kind.startswith("e_")]
    if loud:
        return Word(Tone.CALM, "alarm, closed", f"{len(loud)} detectors still alarm; a person has closed their incident.")
    if model.blind:
        return Word(Tone.WARN, "blind", f"Nothing has come for long: {', '.join(sorted(model.blind))}.")
    if model.epoch is not None and model.epoch.is_learning:
        return Word(Tone.CALM, "learning", f"{model.epoch.learned_ratio:.0%} of the reference has been seen; nothing is judged before.")
    return Word(Tone.GOOD, "quiet", "No detector alarms.")


def _as_it_is(incident: IncidentView, model: ModelView, said: Word) -> Word:
    """An open incident tells what was; whether it still is, the newest verdicts say."""
    if not model.verdicts or sounding(incident, model.verdicts):
        return said
    now = "None of it alarms now" if is_watched(incident, model.verdicts) else "Nothing of it is watched any more"
    return replace(said, word=f"{said.word}, quiet now", because=f"{now}. It was: {said.because}")


def of_incident(incident: IncidentView, now: float) -> Word:
    """What an incident is, and whether it hurts."""
    kinds = sorted({AlarmKind(s["kind"]) for s in incident.subjects.values() if "kind" in s}, key=list(AlarmKind).index)
    said = "; ".join(_KINDS[kind] for kind in kinds) or "a detector alarmed"
    because = f"{said[0].upper()}{said[1:]}."
    if incident.closed_at is not None:
        how = [word for word in ("absorbed" if incident.absorbed_at is not None else None, incident.judged) if word is not None]
        return Word(Tone.CALM, ", ".join(["closed", *how]), because)
    word = "harmful incident" if incident.is_harmful else "incident"
    tone = Tone.BAD if incident.is_harmful or _HARMS.intersection(kinds) else Tone.WARN
    if (incident.muted_until or 0.0) > now:
        word += ", muted"
    elif incident.acknowledged_by is not None:
        word += ", acknowledged"
    return Word(tone, word, because)


def sounding(incident: IncidentView, verdicts: Iterable[VerdictView]) -> list[str]:
    """Those of its subjects, by key, whose newest verdict alarms."""
    loud = {f"{v.detector}:{v.subject}" for v in verdicts if v.outcome == Outcome.ALARM and v.epoch == incident.epoch}
    return [key for key in incident.subjects if key in loud]


def is_watched(incident: IncidentView, verdicts: Iterable[VerdictView]) -> bool:
    """Whether anything still speaks of one of its subjects: the settings may have changed."""
    return any(f"{v.detector}:{v.subject}" in incident.subjects for v in verdicts if v.epoch == incident.epoch)


def of_run(state: str) -> Word:
    """A run's state, as a word of people."""
    known = State(state)
    tone = Tone.BAD if known in _RUN_BAD else _RUN_TONES.get(known, Tone.CALM)
    return Word(tone, known.value.replace("_", " "), "ended" if is_ended(known) else "active")


def harm(incident: IncidentView) -> str:
    """Harmful or not, in a sentence that says what that rests on."""
    kinds = {s.get("kind") for s in incident.subjects.values()}
    if incident.diagnosis is not None:
        is_unfair = AlarmKind.FAIRNESS in kinds
        return f"{'Groups are treated differently. ' if is_unfair else ''}{_meaning(incident.diagnosis, is_unfair=is_unfair)}."
    if incident.is_harmful:
        return "Harmful: traffic has drifted and the model is wrong more often, in one incident."
    if AlarmKind.RISK in kinds or AlarmKind.PERFORMANCE in kinds:
        return "The model is worse, without drift that would explain it."
    if AlarmKind.FAIRNESS in kinds:
        return "Groups are treated differently; neither drift with loss nor a fall of performance is proven."
    return _ALONE.get(frozenset(kinds), "Not known to be harmful: traffic has drifted, no loss is proven. Labels may come late.")


def _meaning(said: Mapping[str, Any], *, is_unfair: bool = False) -> str:
    """A diagnosis, as the ledger has it: it is about the loss, which a gap between groups need not raise."""
    shift = "" if said["shift"] == "unknown" else f", {_SHIFTS[said['shift']]}"
    harm = "Not known to be worse for all" if is_unfair and said["harm"] == "unknown" else _HARM[said["harm"]]
    return f"{harm}{shift}: {said['because']}"


def outcome(verdict: VerdictView) -> Word:
    """What a detector says. One look informs; only what may be looked at forever alarms."""
    if verdict.outcome == Outcome.ALARM:
        is_sequential = verdict.evidence.kind.startswith("e_")
        return Word(Tone.BAD if is_sequential else Tone.WARN, "alarm" if is_sequential else "differs", "")
    if verdict.outcome == Outcome.OK:
        return Word(Tone.GOOD, "ok", "")
    return Word(Tone.CALM, "too little data", "")


def evidence(held: EvidenceView) -> str:
    """A detector's evidence beside its limit."""
    if held.log10_e is not None and held.limit is not None:
        return f"log10 {held.log10_e:.1f}, alarms at {held.limit:.1f}"
    if held.p is not None:
        return f"p {held.p:.2g}, differs at {figure(held.limit or 0.0)}"
    return f"distance {figure(held.distance or 0.0)}, limit {figure(held.limit or 0.0)}"


def gate_line(record: Mapping[str, Any] | None) -> str:
    """The gates of a run in a line."""
    gates = (record or {}).get("gates", [])
    if not gates:
        return "not judged yet"
    n = {name: sum(g.get("outcome") == name for g in gates) for name in ("ok", "alarm", "insufficient")}
    parts = [f"{n['ok']} passed"]
    parts += [f"{n['alarm']} missed"] if n["alarm"] else []
    return ", ".join(parts + ([f"{n['insufficient']} inconclusive"] if n["insufficient"] else []))


_EVENTS: dict[str, str] = {
    "incident.opened": "Incident opened",
    "incident.extended": "A further subject",
    "incident.diagnosed": "What it means",
    "incident.evidence": "What surely changed",
    "incident.acknowledged": "Acknowledged by {by}",
    "incident.muted": "Muted by {by}",
    "incident.judged": "Judged {judged} by {by}",
    "incident.closed": "Closed",
    "incident.reopened": "Opened again",
    "incident.quiet": "Quiet",
    "reference.absorbed": "Absorbed into the reference by {by}",
    "reference.restored": "Absorbing undone by {by}",
    "reference.compared": "Reference compared with the one before",
    "champion.moved": "Version {version} is champion",
    "champion.adopted": "Version {version} adopted as champion",
    "version.barred": "Version {version} barred",
    "run.entered": "Run {state}",
    "run.again": "Run {state}: an attempt failed",
    "run.waits": "Run {state}: waits",
    "monitors.changed": "The settings changed",
    "paused": "Paused by {by}",
    "resumed": "Resumed by {by}",
    "alarm": "Alarm of {detector} on {subject}",
    "alert": "People told",
    "decision": "Decision: {decision}",
}


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def event(kind: str, data: Mapping[str, Any]) -> str:
    """What happened, in a few words."""
    return _EVENTS.get(kind, kind.replace(".", " ")).format_map(_Known(data)).replace("_", " ")


def event_because(kind: str, data: Mapping[str, Any]) -> str:
    """Why it happened, as the ledger has it."""
    if kind == "incident.extended":
        return listed(str(key) for key in data.get("added", ())) + ("; harmful now" if data.get("harmful") else "")
    if kind == "incident.diagnosed" and {"harm", "shift", "because"} <= data.keys():
        return _meaning(data)
    if kind == "incident.evidence":
        return " ".join(in_words(data))
    return str(data.get("because") or "")


def gate_word(outcome_: str) -> Word:
    """What a gate says."""
    tones = {"ok": (Tone.GOOD, "passed"), "alarm": (Tone.BAD, "missed")}
    return Word(*tones.get(outcome_, (Tone.WARN, "inconclusive")), "")


FILTERS: dict[str, Callable[..., Any]] = {
    "when": when,
    "iso": iso,
    "stamp": stamp,
    "event_because": event_because,
    "age": age,
    "figure": figure,
    "of_model": of_model,
    "sounding": sounding,
    "is_watched": is_watched,
    "of_incident": of_incident,
    "of_run": of_run,
    "harm": harm,
    "evidence_words": in_words,
    "listed": listed,
    "outcome": outcome,
    "evidence": evidence,
    "gate_line": gate_line,
    "event": event,
    "gate_word": gate_word,
}
