"""What a message to a person says: model, what, figures with intervals, because, where to look, what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from daemon.act.plain import plain
from daemon.store.outbox import What

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Tone = Literal["info", "success", "warning", "failure"]

_MOST_FIGURES = 6

_WHAT: dict[What, tuple[str, Tone, str | None]] = {
    What.INCIDENT_OPENED: ("incident", "warning", None),
    What.INCIDENT_HARMFUL: ("the incident does harm", "failure", "RetunedHarmfulDrift"),
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
    What.BLIND_CLOCK: ("the clock was set back", "warning", "RetunedClockSetBack"),
    What.ADVICE: ("needs a person", "warning", None),
    What.ALIAS: ("alias moved by somebody else", "warning", "RetunedAliasMoved"),
}
"""What -> words, tone, runbook."""

_OF_KIND = (
    ("risk", "RetunedPerformanceDegradedFast"),
    ("performance", "RetunedPerformanceDegradedFast"),
    ("fairness", "RetunedFairnessBreach"),
    ("calibration", "RetunedCalibrationOff"),
    ("bias", "RetunedCalibrationOff"),
    ("quality", "RetunedDataQuality"),
    ("drift", "RetunedDrift"),
)
"""Kind of alarm -> runbook, the most harmful first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One message."""

    title: str
    body: str
    tone: Tone


def compose(model: str, payload: Mapping[str, Any], url: str) -> Text:
    """The message of an outbox payload; links begin with `url`.

    The payload is {what, because, incident?, run?, figures?, kinds?, harmful?, diagnosis?, evidence?}.
    """
    what = What.of(payload)
    words, tone, runbook = _WHAT[what]
    if what in {What.INCIDENT_OPENED, What.INCIDENT_HARMFUL}:
        of_kind = next((book for kind, book in _OF_KIND if kind in payload.get("kinds", ())), None)
        runbook = "RetunedHarmfulDrift" if payload.get("harmful") else of_kind or runbook
    if what is What.INCIDENT_OPENED and (payload.get("harmful") or payload.get("diagnosis", {}).get("harm") == "harmful"):
        words, tone = "incident, harmful", "failure"
    lines = [payload.get("because", ""), *_figures(payload.get("figures", ())), *_diagnosis(payload.get("diagnosis"))]
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


def _diagnosis(said: Mapping[str, str] | None) -> list[str]:
    """What the incident means by now."""
    if said is None:
        return []
    shift = "" if said["shift"] == "unknown" else f" ({said['shift']}{'' if said['shift'] == 'damage' else ' shift'})"
    return [f"{_HARM.get(said['harm'], said['harm'])}{shift}: {said['because']}"]


def _figures(figures: Iterable[Mapping[str, Any]]) -> list[str]:
    found = [
        f"{plain(f['subject'])} is {f['value']:.3g}, between {f['low']:.3g} and {f['high']:.3g}, on {f['n']} ({f['detector']})"
        for f in figures
    ]
    more = len(found) - _MOST_FIGURES
    return found[:_MOST_FIGURES] + ([f"and {more} more"] if more > 0 else [])


def _path(model: str, payload: Mapping[str, Any]) -> str:
    for key, page in (("incident", "incidents"), ("run", "runs")):
        if payload.get(key):
            return f"/{page}/{payload[key]}"
    return f"/models/{model}"
