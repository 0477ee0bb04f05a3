"""Whether what alarms may become the reference: proven harmless, or said to be by a person who gives the reason. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from daemon.decide.cause import Harm
from daemon.decide.incident import AlarmKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OF_ANSWERS = frozenset({AlarmKind.RISK, AlarmKind.PERFORMANCE, AlarmKind.FAIRNESS, AlarmKind.CALIBRATION, AlarmKind.BIAS})
"""Alarms about answers and labels: held to what the version was promoted with, whatever the reference is."""
_NEVER = {
    AlarmKind.RISK: "the model is wrong more often (its loss alarms): retrain or roll back",
    AlarmKind.PERFORMANCE: "the model is wrong more often (its performance alarms): retrain or roll back",
    AlarmKind.FAIRNESS: "groups are treated differently beyond the limit, which no reference makes right",
}
_OF_REFERENCE = frozenset({AlarmKind.DRIFT, AlarmKind.QUALITY})


class Absorbing(StrEnum):
    """What a person did to the reference; the metric's label."""

    ABSORBED = "absorbed"
    RESTORED = "restored"
    """Undone: the earlier reference came back."""


def why_not(kinds: Iterable[str], diagnosis: Mapping[str, Any] | None, *, is_forced: bool, is_over: bool = False) -> str | None:
    """Why an incident is not absorbed; None = it may be.

    `kinds`: of its alarms, and of whatever else alarms now. `diagnosis`: as the incident holds it. `is_forced`: a person says that it is
    normal although that is not proven, or although data come damaged; harm and unfairness are refused all the same. `is_over`: none of it
    alarms now, so that records since it opened are of two kinds.
    """
    alarms, said = {AlarmKind(kind) for kind in kinds}, diagnosis or {}
    never = [because for kind, because in _NEVER.items() if kind in alarms]
    if not alarms & _OF_REFERENCE:
        never.append("nothing that it is about is compared with the reference")
    if said.get("harm") == Harm.HARMFUL:
        never.append(str(said.get("because")))
    if never or is_forced:
        return next(iter(never), None)
    if is_over:
        return "none of it alarms now: records since it opened would mix the shift with what came after; force it if traffic is like that"
    if AlarmKind.QUALITY in alarms:
        return "data come damaged, and would count as normal from then on: see to their source, or force it if that is how they come now"
    if said.get("harm") != Harm.BENIGN:
        return f"it is not proven to be benign ({said.get('because') or 'no label speaks for it'}): wait for labels, or force it"
    return None
