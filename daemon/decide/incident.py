"""Incidents: from the first alarm of a model until every subject of it has been quiet for a stated time, or the epoch ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from daemon.decide.names import listed
from daemon.decide.times import lasting, when
from detectors.registry import detector_class
from detectors.types import Eats, EDetectorValue, EValue, Outcome, Verdict, digest_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping


class AlarmKind(StrEnum):
    """What an alarm is about; two of them in one incident make it harmful."""

    DRIFT = "drift"
    RISK = "risk"
    PERFORMANCE = "performance"
    FAIRNESS = "fairness"
    QUALITY = "quality"
    """Of the data as such: tells people, never trains, and makes no drift harmful."""
    CALIBRATION = "calibration"
    """Confidence is off: to be recalibrated, not retrained; makes no drift harmful."""
    BIAS = "bias"
    """Numbers are off otherwise than before, most often to one side: to be corrected; never trains, makes no drift harmful."""


BY_HARM = (
    AlarmKind.RISK,
    AlarmKind.PERFORMANCE,
    AlarmKind.FAIRNESS,
    AlarmKind.CALIBRATION,
    AlarmKind.BIAS,
    AlarmKind.QUALITY,
    AlarmKind.DRIFT,
)
"""The most harmful first: what a person should read first."""


class Change(StrEnum):
    """What a fold did to the incident."""

    NONE = "none"
    OPENED = "opened"
    EXTENDED = "extended"
    """A further subject."""
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One incident, as the ledger keeps it."""

    id: str
    model: str
    epoch: int
    opened_at: float
    last_alarm_at: float
    subjects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """ "detector:subject" -> {detector, subject, kind, first_at, last_at, because}."""
    harmful: bool = False
    """A drift alarm and a risk alarm in one incident."""
    closed_at: float | None = None

    def has(self, *kinds: AlarmKind) -> bool:
        """True when some subject is of one of the kinds."""
        return any(s["kind"] in kinds for s in self.subjects.values())

    def first(self, *kinds: AlarmKind) -> Mapping[str, Any] | None:
        """The earliest subject of one of the kinds (of all, without kinds)."""
        found = [s for s in self.subjects.values() if not kinds or s["kind"] in kinds]
        return min(found, key=lambda s: s["first_at"], default=None)

    def silent(self, now: float) -> dict[str, float]:
        """What it is about and does not alarm at `now`, the time of its newest alarm -> when it last did."""
        last: dict[str, float] = {}
        for s in self.subjects.values():
            last[s["subject"]] = max(s["last_at"], last.get(s["subject"], 0.0))
        return {subject: at for subject, at in last.items() if at < now}

    def in_words(self) -> str:
        """What alarmed, since when and for how long, of one that is over."""
        of_kind = {kind: {s["subject"] for s in self.subjects.values() if s["kind"] == kind} for kind in BY_HARM}
        what = "; ".join(f"{kind} ({listed(sorted(subjects))})" for kind, subjects in of_kind.items() if subjects)
        lasted_s = self.last_alarm_at - self.opened_at
        return f"{f'It lasted {lasting(lasted_s)}, from' if lasted_s else 'It was one alarm, at'} {when(self.opened_at)}: {what}."


def alarm_kind(detector: str) -> AlarmKind:
    """What a detector's alarm is about, by what it eats; an unknown name is drift (it alerts, it never trains)."""
    for prefix, kind in (("risk", AlarmKind.RISK), ("calibration", AlarmKind.CALIBRATION), ("conformal_residual", AlarmKind.BIAS)):
        if detector.startswith(prefix):
            return kind
    try:
        eats = detector_class(detector).eats
    except LookupError:
        return AlarmKind.DRIFT
    if Eats.FAULTS in eats:
        return AlarmKind.QUALITY
    if Eats.GROUPS in eats:
        return AlarmKind.FAIRNESS
    return AlarmKind.PERFORMANCE if eats & {Eats.PAIRS, Eats.VALUES, Eats.QUALITY} else AlarmKind.DRIFT


def alarms(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that alarm by a guarantee that survives looking at every tick; one-look tests inform only."""
    return [v for v in verdicts if v.outcome is Outcome.ALARM and isinstance(v.evidence, EValue | EDetectorValue)]


def key_of(verdict: Verdict) -> str:
    """Names a subject within an incident."""
    return f"{verdict.detector}:{verdict.subject}"


def fold(
    before: Incident | None,
    verdicts: Iterable[Verdict],
    *,
    model: str,
    epoch: int,
    now: float,
    quiet_s: float,
    held: Container[str] = (),
    unheard: Container[str] = (),
) -> tuple[Incident | None, Change]:
    """The incident after the newest verdicts. `before` is the open one or None; one that is returned closed is to be kept as such.

    An incident of an earlier epoch closes: a recovered model raises no alarm about the world it was trained for.
    `held`: keys of subjects whose incident a person closed while they alarmed (`still_held`). By themselves they open nothing; an
    incident that another subject opens takes them in, for what was harmless alone may not be so in company.
    `unheard`: keys of subjects whose newest verdict alarms, though none of them is among `verdicts`. Silence is not quiet: while traffic or
    labels stay away an incident stays open, and its quiet time begins when its subjects are heard again.
    """
    if before is not None and before.epoch != epoch:
        return replace(before, closed_at=now), Change.CLOSED
    verdicts = list(verdicts)
    sounding = alarms(verdicts)
    if not sounding:
        return _without_alarm(before, now, quiet_s, unheard)
    if before is None and all(key_of(v) in held for v in sounding):
        return None, Change.NONE
    start = before or Incident(id=incident_id(model, epoch, now), model=model, epoch=epoch, opened_at=now, last_alarm_at=now)
    subjects = {**start.subjects}
    for verdict in sounding:
        key = key_of(verdict)
        subjects[key] = _subject(verdict, subjects.get(key), now)
    after = replace(start, subjects=subjects, last_alarm_at=now)
    after = replace(after, harmful=after.has(AlarmKind.DRIFT) and after.has(AlarmKind.RISK))
    if before is None:
        return after, Change.OPENED
    return after, Change.EXTENDED if len(subjects) > len(before.subjects) else Change.NONE


def _without_alarm(before: Incident | None, now: float, quiet_s: float, unheard: Container[str]) -> tuple[Incident | None, Change]:
    if before is None:
        return None, Change.NONE
    if any(key in unheard for key in before.subjects):
        return replace(before, last_alarm_at=now), Change.NONE
    is_quiet = now - before.last_alarm_at >= quiet_s
    return (replace(before, closed_at=now), Change.CLOSED) if is_quiet else (before, Change.NONE)


def still_held(held: Mapping[str, float], sounding: Container[str], *, now: float, quiet_s: float) -> dict[str, float]:
    """Of the subjects that a person closed (key -> last alarm) those that have not been quiet for `quiet_s`.

    `sounding`: keys of subjects whose newest verdict alarms.
    """
    last = {key: now if key in sounding else at for key, at in held.items()}
    return {key: at for key, at in last.items() if now - at < quiet_s}


def incident_id(model: str, epoch: int, now: float) -> str:
    """Sorts by time, unique to the model: "20261123T230500-1a2b3c4d"."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}-{digest_of(model, str(epoch), repr(now))[:8]}"


def _subject(verdict: Verdict, known: Mapping[str, Any] | None, now: float) -> dict[str, Any]:
    return {
        "detector": verdict.detector,
        "subject": verdict.subject,
        "kind": alarm_kind(verdict.detector).value,
        "first_at": known["first_at"] if known else now,
        "last_at": now,
        "because": verdict.because if known is None else known["because"],
    }
