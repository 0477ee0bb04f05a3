"""All gates of one run, judged together: the record that decides whether a candidate may be promoted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detectors.types import Outcome, PValue, Score, Verdict, digest_of
from retrain.gates.non_inferiority import NonInferiority
from retrain.gates.reload import Reload
from retrain.gates.superiority import Superiority
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from retrain.plan import GatePart
    from retrain.types import Evaluation


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the gates look at. Both evaluations of a pair are of the same rows."""

    gate: tuple[Evaluation, Evaluation]
    """(champion, candidate) on the slice named in the plan."""
    old_domain: tuple[Evaluation, Evaluation] | None
    """None: the plan names no old domain, so there is none to judge."""
    reload_difference: float | None
    reload_n: int


def judge(judged: Judged, gate: GatePart, *, planned_n: int, plan_digest: str, data_digest: str) -> dict[str, Any]:
    """The gate record: {passed, inconclusive, gates: [{name, subject, outcome, because, value, low, high, n, …}], digest}.

    passed: every gate is OK. inconclusive: no bound missed, but some gate had too little data. Neither: rejected. The digest covers the
    plan, the data and every figure.
    """
    if gate.metric != "accuracy":
        raise Permanent(Reason.BAD_PLAN, f"gates judge accuracy, not {gate.metric!r}")
    verdicts = [Superiority(alpha=gate.alpha, planned_n=planned_n, slice=gate.slice).judge(*judged.gate)]
    if judged.old_domain is not None:
        old = NonInferiority(alpha=gate.alpha, margin=gate.old_domain_margin, min_n=gate.group_min_n)
        verdicts.append(old.judge(*judged.old_domain))
    verdicts += [verdict for column in gate.protected for verdict in _groups(judged, gate, column)]
    verdicts.append(Reload().judge(judged.reload_difference, judged.reload_n))
    body = {
        "passed": all(v.outcome is Outcome.OK for v in verdicts),
        "inconclusive": all(v.outcome is not Outcome.ALARM for v in verdicts) and any(v.outcome is Outcome.INSUFFICIENT for v in verdicts),
        "gates": [_entry(v) for v in verdicts],
        "plan_digest": plan_digest,
        "data_digest": data_digest,
    }
    return {**body, "digest": record_digest(body)}


def record_digest(body: dict[str, Any]) -> str:
    """Digest of a record without its own `digest`: what a later reader checks."""
    return digest_of(json.dumps({k: v for k, v in body.items() if k != "digest"}, sort_keys=True))


def is_sound(record: dict[str, Any] | None) -> bool:
    """True when the record is complete and its digest matches: nobody changed an outcome afterwards."""
    return record is not None and record.get("digest") == record_digest(record) and bool(record.get("gates"))


def _groups(judged: Judged, gate: GatePart, column: str) -> list[Verdict]:
    """One gate a group of the column; a column of which no row has a group asks a person."""
    champion, candidate = judged.gate
    present = sorted({g for g in champion.groups.get(column, ()) if g is not None})
    return [
        NonInferiority(
            alpha=gate.alpha, margin=gate.group_margin, min_n=gate.group_min_n, slice=gate.slice, column=column, group=group
        ).judge(champion, candidate)
        for group in present or ["(none)"]
    ]


def _entry(verdict: Verdict) -> dict[str, Any]:
    evidence = verdict.evidence
    figures = {"p": evidence.p, "alpha": evidence.alpha} if isinstance(evidence, PValue) else {}
    if isinstance(evidence, Score):
        figures = {"distance": evidence.distance, "limit": evidence.limit}
    return {
        "name": verdict.detector,
        "subject": verdict.subject,
        "outcome": verdict.outcome.value,
        "because": verdict.because,
        "value": verdict.value,
        "low": verdict.low,
        "high": verdict.high,
        "n": verdict.n,
        **figures,
    }
