"""What a message to a person says: model, what, figures with intervals, because, where to look, what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Tone = Literal["info", "success", "warning", "failure"]

_MOST_FIGURES = 6

_WHAT: dict[str, tuple[str, Tone, str | None]] = {
    "incident.opened": ("incident", "warning", None),
    "incident.harmful": ("the incident does harm", "failure", "RetunedHarmfulDrift"),
    "incident.closed": ("incident closed", "success", None),
    "run.failed": ("retraining failed", "failure", "RetunedRunFailed"),
    "run.invalid": ("retraining is invalid", "failure", "RetunedRunFailed"),
    "run.awaiting_approval": ("a retrained version waits for your decision", "warning", "RetunedRunAwaitingApproval"),
    "run.promoted": ("new champion", "success", "RetunedPromoted"),
    "run.rolled_back": ("rolled back", "failure", "RetunedRolledBack"),
    "run.kept": ("new champion kept", "success", None),
    "run.rejected": ("retraining rejected by its gates", "warning", None),
    "run.inconclusive": ("retraining inconclusive", "warning", None),
    "run.cancelled": ("retraining cancelled", "info", None),
    "blind": ("not seen", "warning", "RetunedBlind"),
    "advice": ("needs a person", "warning", None),
    "alias": ("alias moved by somebody else", "warning", "RetunedAliasMoved"),
}
"""What -> words, tone, runbook."""

_OF_KIND = (
    ("risk", "RetunedPerformanceDegradedFast"),
    ("performance", "RetunedPerformanceDegradedFast"),
    ("fairness", "RetunedFairnessBreach"),
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
    """The message of an outbox payload {what, because, incident?, run?, figures?, kinds?, harmful?}; `url` is where links begin."""
    what = str(payload.get("what", "advice"))
    words, tone, runbook = _WHAT.get(what, (what, "info", None))
    if what == "incident.opened" and payload.get("harmful"):
        words, tone, runbook = "incident, harmful", "failure", "RetunedHarmfulDrift"
    elif what == "incident.opened":
        runbook = next((book for kind, book in _OF_KIND if kind in payload.get("kinds", ())), None)
    lines = [str(payload.get("because", "")), *_figures(payload.get("figures", ())), "", f"Look: {url}{_path(model, payload)}"]
    if runbook is not None:
        lines.append(f"Do: {url}/runbooks/{runbook}")
    return Text(title=f"{model}: {words}", body="\n".join(lines).strip(), tone=tone)


def _figures(figures: Iterable[Mapping[str, Any]]) -> list[str]:
    found = [
        f"{f['subject']} is {f['value']:.3g}, between {f['low']:.3g} and {f['high']:.3g}, on {f['n']} ({f['detector']})" for f in figures
    ]
    more = len(found) - _MOST_FIGURES
    return found[:_MOST_FIGURES] + ([f"and {more} more"] if more > 0 else [])


def _path(model: str, payload: Mapping[str, Any]) -> str:
    for key, page in (("incident", "incidents"), ("run", "runs")):
        if payload.get(key):
            return f"/{page}/{payload[key]}"
    return f"/models/{model}"
