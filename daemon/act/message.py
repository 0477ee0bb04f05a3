"""What a message to a person says: model, what, figures with intervals, because, where to look, what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from daemon.act.plain import plain
from daemon.decide.incident import BY_HARM, AlarmKind
from daemon.decide.times import when
from daemon.store.outbox import What

if TYPE_CHECKING:
    from collections.abc import Mapping

Tone = Literal["info", "success", "warning", "failure"]

_MOST_FIGURES = 6

_WHAT: dict[What, tuple[str, Tone, str | None]] = {
    What.INCIDENT_OPENED: ("incident", "warning", None),
    What.INCIDENT_HARMFUL: ("the incident does harm", "failure", "RetunedHarmfulDrift"),
    What.INCIDENT_UNFAIR: ("the incident is about fairness, too", "failure", "RetunedFairnessBreach"),
    What.INCIDENT_BENIGN: ("the incident does no harm", "success", "RetunedDrift"),
    What.INCIDENT_CLOSED: ("incident closed", "success", None),
    What.RUN_FAILED: ("retraining failed", "failure", "RetunedRunFailed"),
    What.RUN_INVALID: ("retraining is invalid", "failure", "RetunedRunFailed"),
    What.RUN_AWAITING_APPROVAL: ("a retrained version waits for your decision", "warning", "RetunedRunAwaitingApproval"),
    What.RUN_PROMOTED: ("new champion", "success", "RetunedPromoted"),
    What.RUN_ROLLED_BACK: ("rolled back", "failure", "RetunedRolledBack"),
    What.RUN_KEPT: ("new champion kept", "success", None),
    What.RUN_REJECTED: ("retraining rejected by its gates", "warning", None),
    What.RUN_INCONCLUSIVE: ("retraining inconclusive", "warning", None),
    What.RUN_CANCELLED: ("retraining cancelled", "info", None),
    What.REFERENCE_ABSORBED: ("a shift is the reference now", "info", None),
    What.REFERENCE_RESTORED: ("the earlier reference is back", "info", None),
    What.REFERENCE_LEARNT: ("the learnt reference lacks something", "warning", None),
    What.BLIND: ("not seen", "warning", "RetunedBlind"),
    What.BLIND_OVER: ("seen again", "success", None),
    What.BLIND_CLOCK: ("the clock was set back", "warning", "RetunedClockSetBack"),
    What.ADVICE: ("needs a person", "warning", None),
    What.ALIAS: ("alias moved by somebody else", "warning", "RetunedAliasMoved"),
}
"""What -> words, tone, runbook."""

_OF_KIND = {
    AlarmKind.RISK: ("RetunedPerformanceDegradedFast", "worse than it was made to be"),
    AlarmKind.PERFORMANCE: ("RetunedPerformanceDegradedFast", "performance beyond its limit"),
    AlarmKind.FAIRNESS: ("RetunedFairnessBreach", "groups treated differently"),
    AlarmKind.CALIBRATION: ("RetunedCalibrationOff", "confidence off"),
    AlarmKind.BIAS: ("RetunedCalibrationOff", "answers too high or too low"),
    AlarmKind.QUALITY: ("RetunedDataQuality", "data damaged"),
    AlarmKind.DRIFT: ("RetunedDrift", "traffic changed"),
}
"""Kind of alarm -> runbook, and words of a title."""
_NEWS = frozenset({What.INCIDENT_OPENED, What.INCIDENT_HARMFUL, What.INCIDENT_UNFAIR})
"""What says since when, and what alarms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One message."""

    title: str
    body: str
    tone: Tone


def compose(model: str, payload: Mapping[str, Any], url: str) -> Text:
    """The message of an outbox payload; links begin with `url`.

    The payload is {what, because, incident?, opened_at?, run?, figures?, kinds?, harmful?, diagnosis?, evidence?}.
    """
    what = What.of(payload)
    words, tone, runbook = _WHAT[what]
    kinds = [kind for kind in BY_HARM if kind in payload.get("kinds", ())] if what in _NEWS else []
    if what in {What.INCIDENT_OPENED, What.INCIDENT_HARMFUL}:
        runbook = "RetunedHarmfulDrift" if payload.get("harmful") else _OF_KIND[kinds[0]][0] if kinds else runbook
    if what is What.INCIDENT_OPENED and (payload.get("harmful") or payload.get("diagnosis", {}).get("harm") == "harmful"):
        words, tone = "incident, harmful", "failure"
    if kinds:
        words = f"{words}: {', '.join(_OF_KIND[kind][1] for kind in kinds)}"
    lines = [*_alarming(payload, is_news=what in _NEWS), *_diagnosis(payload.get("diagnosis"), is_unfair=AlarmKind.FAIRNESS in kinds)]
    lines = [plain(line) for line in (*lines, *payload.get("evidence", ()))]
    lines += ["", f"Look: {url}{_path(model, payload)}"]
    if what is What.INCIDENT_BENIGN:
        lines.append(f"If traffic stays like this: retuned absorb {model} --incident {payload.get('incident', '')} --because ...")
    if what is What.REFERENCE_ABSORBED:
        lines.append(f"If it should not be: retuned absorb {model} --undo")
    if runbook is not None:
        lines.append(f"Do: {url}/runbooks/{runbook}")
    return Text(title=f"{model}: {words}", body="\n".join(lines).strip(), tone=tone)


_HARM = {
    "harmful": "It does harm",
    "benign": "It does no harm",
    "likely": "It likely does harm",
    "unknown": "Whether it does harm is not known yet",
}


def _diagnosis(said: Mapping[str, str] | None, *, is_unfair: bool) -> list[str]:
    """What the incident means by now."""
    if said is None:
        return []
    shift = "" if said["shift"] == "unknown" else f" ({said['shift']}{'' if said['shift'] == 'damage' else ' shift'})"
    harm = _HARM.get(said["harm"], said["harm"])
    if is_unfair and said["harm"] == "unknown":
        harm = "It treats groups differently; whether it is worse for all is not known yet"
    return [f"{harm}{shift}: {said['because']}"]


def _alarming(payload: Mapping[str, Any], *, is_news: bool) -> list[str]:
    """Since when, and what each detector that alarms says; else the reason alone."""
    said = [_sentence(figure) for figure in payload.get("figures", ())]
    more = len(said) - _MOST_FIGURES
    said = said[:_MOST_FIGURES] + ([f"and {more} more"] if more > 0 else [])
    opened = [f"Open since {when(payload['opened_at'])}."] if is_news and "opened_at" in payload else []
    return [*opened, *(said or [payload.get("because", "")])] if opened else [payload.get("because", ""), *said]


def _sentence(figure: Mapping[str, Any]) -> str:
    """Of one alarm, with its subject and interval; one of an older release has no words of its own."""
    subject, because = plain(figure["subject"]), str(figure.get("because", ""))
    interval = f"between {figure['low']:.3g} and {figure['high']:.3g}"
    if not because:
        return f"{subject} is {figure['value']:.3g}, {interval}, on {figure['n']} ({figure['detector']})"
    said = f"{subject} ({figure['detector']}): {because.removeprefix(f'{subject}: ')}"
    return said if " between " in because else f"{said} ({interval})"


def _path(model: str, payload: Mapping[str, Any]) -> str:
    for key, page in (("incident", "incidents"), ("run", "runs")):
        if payload.get(key):
            return f"/{page}/{payload[key]}"
    return f"/models/{model}"
