"""Inputs within segments: "the French shop began to send empty ages", while it is too small a part of the whole to be seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemon.decide.monitors.drift import watched_kinds
from daemon.decide.monitors.quality import watched_faults
from daemon.decide.monitors.rates import DELTA, alpha_per_pane
from daemon.decide.monitors.segments import segments_of
from detectors.rhythm import Rhythm
from detectors.sequential.column_of_segment import CategoryOfSegment
from detectors.sequential.input_of_segment import MissingWithin, NumberWithin, TextWithin
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from daemon.decide.monitors.segments import Values
    from daemon.settings import ModelSettings
    from detectors.types import Detector

_MOVES: Mapping[ColumnKind, type[Any]] = {
    ColumnKind.NUMERIC: NumberWithin,
    ColumnKind.CATEGORY: CategoryOfSegment,
    ColumnKind.TEXT: TextWithin,
}
_OF_TEXT = 8
"""Of a text seven figures are watched: so many times a column's time and state."""
_OF_RHYTHM = {Rhythm.NONE: 1, Rhythm.HOUR_OF_DAY: 4, Rhythm.QUARTER_HOUR_OF_DAY: 10, Rhythm.HOUR_OF_WEEK: 10}
"""Likewise of one that is compared by hours."""
_MOST_CHARS = 256
"""Of a subject in the ledger."""


@dataclass(frozen=True, kw_only=True)
class WatchedInputs:
    """What is watched within every watched value."""

    moves: Mapping[str, ColumnKind]
    """Subject -> kind of those whose values are compared with the reference's."""
    missing: tuple[str, ...]
    """Subjects of those whose missing values are counted."""
    left_out: tuple[str, ...]
    """Subjects for which `most_n` leaves no room."""


def watched_inputs(model: ModelSettings, values: Values, known: Container[str]) -> WatchedInputs:
    """Those that `drift` and `quality` watch of all records, in the order of the settings, as far as `most_n` goes."""
    wanted, rhythm = model.monitors.segments.inputs if model.monitors.segments is not None else None, model.reference.rhythm
    if wanted is None:
        return WatchedInputs(moves={}, missing=(), left_out=())
    moves = {s: kind for s, kind in watched_kinds(model, known).items() if kind in _MOVES and not s.startswith("output.")}
    faults, left, room = watched_faults(model, known), [], wanted.most_n
    kept: list[str] = []
    for subject, kind in model.subjects().items():
        is_asked = wanted.columns == "all" or subject.split(".", 1)[1] in wanted.columns
        within = [one for one in segments_of(model, values) if one.column != subject]
        if not is_asked or not (subject in moves or subject in faults) or (values and not within):
            continue
        each = (_OF_TEXT if kind is ColumnKind.TEXT else 1) * _OF_RHYTHM[rhythm] if subject in moves else 1
        cost = each * len(within)
        if cost <= room and all(len(f"{subject}[{one}]") <= _MOST_CHARS for one in within):
            kept.append(subject)
            room -= cost
        else:
            left.append(subject)
    return WatchedInputs(
        moves={s: moves[s] for s in kept if s in moves}, missing=tuple(s for s in kept if s in faults), left_out=tuple(left)
    )


def inputs(model: ModelSettings, values: Values, known: Container[str]) -> list[Detector]:
    """What alarms of the inputs of all records, of those of each segment; a column is not watched within its own values."""
    wanted, quality = model.monitors.segments, model.monitors.quality
    if wanted is None or wanted.inputs is None:
        return []
    found = watched_inputs(model, values, known)
    within = segments_of(model, values)
    days = wanted.inputs.mean_days_between_false_alarms
    n = len(within) * (len(found.moves) + len(found.missing))
    common: dict[str, Any] = {"alpha": alpha_per_pane(days=days, pane_s=model.monitors.pane_s, n=n), "delta": DELTA}
    common["rhythm"] = model.reference.rhythm
    moving = [
        _MOVES[kind](column=subject, within=one, **common)
        for one in within
        for subject, kind in found.moves.items()
        if subject != one.column
    ]
    if quality is None:
        return moving
    missing = [
        MissingWithin(column=subject, within=one, tolerance=quality.tolerance, **common)
        for one in within
        for subject in found.missing
        if subject != one.column
    ]
    return moving + missing
