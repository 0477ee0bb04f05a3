"""summary.json: what happened, computed from what the driver kept and what the API said. Pure.

F1 before and after the shift is computed on records whose label the service never got; F1 after the promotion on every record that the
new version answered (no training began after it). So no training saw a label behind any figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from daemon.demo.figures import NOTHING, Figure, macro_f1
from daemon.demo.watcher import PROMOTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.demo.traffic import Sent
    from daemon.demo.watcher import Alarm, Entered


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Everything that a summary is made from."""

    sent: Sequence[Sent]
    labels: Sequence[str]
    alarms: Sequence[Alarm]
    run: Mapping[str, Any] | None
    entered: Sequence[Entered]
    champion_before: str
    champion_after: str
    first_epoch: int
    """Number of the epoch of the first version."""
    old_domain: Mapping[str, Figure]
    """champion, candidate."""
    has_shift: bool
    seconds: Mapping[str, float]
    """Phase of the demo -> how long it took."""


def summary(seen: Seen) -> dict[str, Any]:
    """The file's content."""
    shift = next((i for i, s in enumerate(seen.sent) if s.phase != "before"), len(seen.sent))
    shift_at = seen.sent[shift].at if shift < len(seen.sent) else float("inf")
    first = min((a.at for a in seen.alarms), default=None)
    run = seen.run
    return {
        "shift_at_record": shift if seen.has_shift else None,
        "first_alarm_at_record": None if first is None else sum(s.at <= first for s in seen.sent),
        "alarms_before_shift": sum(a.at < shift_at or not seen.has_shift for a in seen.alarms),
        "alarms_after_promotion": sum(a.epoch > seen.first_epoch for a in seen.alarms),
        "trigger": None if run is None else {k: run["trigger"].get(k) for k in ("subject", "detector", "because")},
        "run_id": None if run is None else run["id"],
        "outcome": outcome(run),
        "because": None if run is None else run["because"],
        **{name: figure.json() for name, figure in figures(seen).items()},
        "champion_before": seen.champion_before,
        "champion_after": seen.champion_after,
        "gates": gates(run),
        "records": len(seen.sent),
        "labels": sum(s.is_labelled for s in seen.sent),
        "seconds": {name: round(s, 1) for name, s in {**seen.seconds, **run_seconds(seen.entered)}.items()},
    }


def figures(seen: Seen) -> dict[str, Figure]:
    """F1 of each phase and on the old domain."""
    withheld = [s for s in seen.sent if not s.is_labelled and s.version == seen.champion_before]
    is_new = seen.champion_after != seen.champion_before
    answered = {
        "f1_before_shift": [s for s in withheld if s.phase == "before" or not seen.has_shift],
        "f1_after_shift": [s for s in withheld if s.phase == "after" and seen.has_shift],
        "f1_after_promotion": [s for s in seen.sent if is_new and s.version == seen.champion_after],
    }
    found = {name: macro_f1(((s.label, s.predicted) for s in part), seen.labels) for name, part in answered.items()}
    return found | {f"f1_old_domain_{who}": seen.old_domain.get(who, NOTHING) for who in ("champion", "candidate")}


def outcome(run: Mapping[str, Any] | None) -> str:
    """One word: promoted, rejected, inconclusive, … or none (no retraining)."""
    if run is None:
        return "none"
    return "promoted" if run["state"] in PROMOTED else str(run["state"])


def gates(run: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each gate's name, outcome and sentence, from the gate record."""
    record = (run or {}).get("record") or {}
    return [{k: gate.get(k) for k in ("name", "outcome", "because")} for gate in record.get("gates", ())]


def run_seconds(entered: Sequence[Entered]) -> dict[str, float]:
    """State of the run -> how long it stayed there (the last one has no end)."""
    found: dict[str, float] = {}
    for one, after in pairwise(entered):
        found[f"run_{one.state}"] = found.get(f"run_{one.state}", 0.0) + after.at - one.at
    return found
