"""Drift of what the model answers within segments: "in the French shop it now says refund twice as often", while all others are quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.decide.monitors.drift import watched_kinds
from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from daemon.decide.monitors.segments import segments_of
from detectors.sequential.column_of_segment import CategoryOfSegment, NumericOfSegment
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from daemon.decide.monitors.segments import Values
    from daemon.settings import ModelSettings
    from detectors.types import Detector

_SEQUENTIAL: Mapping[ColumnKind, type[Any]] = {
    ColumnKind.CATEGORY: CategoryOfSegment,
    ColumnKind.NUMERIC: NumericOfSegment,
}


def watched_answers(model: ModelSettings, known: Container[str]) -> dict[str, ColumnKind]:
    """Subject -> kind of the answers (label, score, number) that drift watches, as far as the reference knows them; {} without segments."""
    if model.monitors.segments is None:
        return {}
    return {s: kind for s, kind in watched_kinds(model, known).items() if s.startswith("output.") and kind in _SEQUENTIAL}


def answers(model: ModelSettings, values: Values, known: Container[str]) -> list[Detector]:
    """What alarms of the answers of all records, of those of each segment. They are drift: their rate is a part of its."""
    wanted, found = model.monitors.drift, watched_answers(model, known)
    if wanted is None or model.monitors.segments is None:
        return []
    within = segments_of(model, values)
    alpha = alpha_per_pane(days=wanted.mean_days_between_false_alarms, pane_s=model.monitors.pane_s, n=len(within) * len(found))
    common: dict[str, Any] = {"alpha": alpha, "delta": DELTA, "rhythm": model.reference.rhythm}
    return [_SEQUENTIAL[kind](column=subject, within=one, **common) for one in within for subject, kind in found.items()]
