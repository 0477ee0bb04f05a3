"""What happened, in plain words: one line an event while it runs, a paragraph at the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_STATES = {
    "planned": "a retraining is planned",
    "collecting": "it collects labels until the gates have what their power asks for",
    "dataset": "enough labels: the data set is built from the record log and replay",
    "training": "a candidate is trained, in a process of its own",
    "evaluating": "champion and candidate answer the same held-out rows",
    "gated": "the gates have judged",
    "registered": "the candidate is registered in MLflow",
    "promoted": "the candidate is promoted",
    "watching": "the new version is watched against its predecessor on the same records",
    "kept": "the new version is kept",
    "rolled_back": "rolled back to the version before",
    "rejected": "the candidate is rejected",
    "inconclusive": "inconclusive: too few labels",
    "awaiting_approval": "the gates can't say: a person is asked",
    "invalid": "the run is invalid",
    "failed": "the run failed",
    "cancelled": "the run was cancelled",
}


def line(event: Mapping[str, Any]) -> str | None:
    """One event of the ledger for the live timeline; None for those that a newcomer need not see."""
    tell = _LINES.get(event["kind"])
    return tell(event["data"]) if tell else None


def _alarm(data: Mapping[str, Any]) -> str:
    return f"alarm: {data.get('detector')} about {data.get('subject')}: {data.get('because')}"


def _opened(data: Mapping[str, Any]) -> str:
    return "an incident opens: " + ", ".join(sorted(data.get("subjects", ())))


def _extended(data: Mapping[str, Any]) -> str:
    return f"the incident grows{' and is harmful' if data.get('harmful') else ''}: {', '.join(data.get('added', ()))}"


def _entered(data: Mapping[str, Any]) -> str:
    return f"{_STATES.get(data['state'], data['state'])} ({data.get('because')})"


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "alarm": _alarm,
    "incident.opened": _opened,
    "incident.extended": _extended,
    "incident.closed": lambda data: f"the incident is closed: {data.get('because')}",
    "run.entered": _entered,
    "champion.moved": lambda data: f"champion: version {data.get('version')}",
}


def told(summary: Mapping[str, Any], names: tuple[str, str], out: Path, port: int) -> list[str]:
    """The last lines: what happened and how to look further. `names`: what traffic came from and turned to."""
    return [*_happened(summary, names), "", *_further(summary, out, port)]


def _happened(s: Mapping[str, Any], names: tuple[str, str]) -> list[str]:
    if s["shift_at_record"] is None:
        quiet = (
            f"Traffic stayed with {names[0]}: {s['records']} records, {s['alarms_before_shift']} alarms, F1 {_f1(s['f1_before_shift'])}."
        )
        return [quiet, "No alarm was due and no retraining was started." if s["outcome"] == "none" else _ending(s)]
    f1 = f"F1 went from {_f1(s['f1_before_shift'])} to {_f1(s['f1_after_shift'])}"
    said = [f"After {s['shift_at_record']} records traffic turned from {names[0]} to {names[1]} and {f1}."]
    if s["first_alarm_at_record"] is None:
        return [*said, "No detector alarmed, so nothing was retrained."]
    delay = s["first_alarm_at_record"] - s["shift_at_record"]
    said.append(f"The first alarm came {delay} records after the shift; alarms before it: {s['alarms_before_shift']}.")
    if s["outcome"] == "none":
        return [*said, "No retraining was started: the alarms did not confirm a loss of performance or a harmful drift."]
    return [*said, f"Why it retrained: {s['trigger']['because']}", _ending(s)]


def _ending(s: Mapping[str, Any]) -> str:
    missed = "; ".join(f"{gate['name']}: {gate['because']}" for gate in s["gates"] if gate["outcome"] != "ok")
    stays = f"version {s['champion_after']} goes on answering. {missed or s['because']}"
    match s["outcome"]:
        case "promoted":
            old = f"{_f1(s['f1_old_domain_candidate'])} on the old domain (before: {_f1(s['f1_old_domain_champion'])})"
            return (
                f"The candidate passed every gate and is champion as version {s['champion_after']}: F1 {_f1(s['f1_after_promotion'])} "
                f"on new records, {old}. Alarms after the promotion: {s['alarms_after_promotion']}."
            )
        case "rejected":
            return f"The candidate was rejected: {stays}"
        case "inconclusive" | "awaiting_approval":
            return f"The evidence was not enough to promote: {stays}"
        case "rolled_back":
            return f"The candidate was promoted and then rolled back: {stays}"
        case other:
            return f"The run ended as {other!r}: {stays}"


def _f1(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "unknown"
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _further(s: Mapping[str, Any], out: Path, port: int) -> list[str]:
    look = {
        f"{out}/timeline.png": "F1, evidence, incident, collecting, training and promotion on one time axis",
        f"{out}/summary.json": "every figure with its interval",
        f"retuned serve --config {out}/demo.yaml": f"the service again, where it stopped: http://127.0.0.1:{port}/v1/models/sentiment",
        f"mlflow ui --backend-store-uri sqlite:///{out}/mlflow/mlflow.db": "versions, aliases, lineage",
    }
    if s["outcome"] == "promoted":
        look["retuned rollback sentiment"] = "while it serves: the version before answers again"
    return ["To look further:", *(f"  {what}\n      {why}" for what, why in look.items())]
