"""What alarms see within a day, in lines for a person: what is seen comes first, what is alike stands together, many are folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.sequential.column_of_segment import ColumnOfSegment
from detectors.sequential.growth import SEEN
from detectors.types import EValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.watched.seen.day import Day, Soon
    from detectors.types import Detector

_MOST_SAID, _MOST_NAMED = 3, 3
"""Sentences about one detector; subjects of one sentence."""
_Said = dict[str, list[str]]
"""Sentence -> its subjects, or a detector -> its subjects."""
_FIRST_DAY = (
    "Of risk and of groups: on the first day of an epoch (later days know more, or have lost more); between the two largest groups."
)
_SUPPOSED = "The reference is not known yet. Supposed: no faults in it, half of a category's rows have one value, groups are equally large."


def heading(day: Day) -> str:
    """What the lines are about."""
    labels = "" if day.labels_n is None else f" and {day.labels_n:,.0f} labels"
    return f"seen within a day of {day.records_n:,.0f} records{labels}, in {SEEN:.0%} of cases"


def in_lines(found: Sequence[Soon], detectors: Iterable[Detector], day: Day) -> list[str]:
    """`detectors`: of `found`, in the same order."""
    seen: dict[str, _Said] = {}
    is_first_day = False
    for one, d in zip(found, detectors, strict=True):
        if one.smallest is not None:
            is_inside = isinstance(d, ColumnOfSegment) and not d.column.startswith("output.")
            seen.setdefault(f"{one.detector}{' within segments' if is_inside else ''}", {}).setdefault(one.says, []).append(one.subject)
            is_first_day |= d.evidence is EValue
    lines = [line for detector, said in seen.items() for line in _of_one(detector, said)]
    return [*([_SUPPOSED] if day.is_supposed else []), *lines, *([_FIRST_DAY] if is_first_day else []), *_unseen(found)]


def _of_one(detector: str, said: _Said) -> list[str]:
    """One line a sentence; the first few, where there are many."""
    shown = list(said.items())[:_MOST_SAID]
    lines = [f"{_named(detector, subjects)}: {says}" for says, subjects in shown]
    n = sum(len(subjects) for subjects in said.values()) - sum(len(subjects) for _, subjects in shown)
    return [*lines[:-1], f"{lines[-1]}; {n} more have figures of their own (--json)"] if n else lines


def _unseen(found: Sequence[Soon]) -> list[str]:
    """A line for each reason, and one for each detector that takes more records, from the least to the most that one takes."""
    reasons: dict[str, _Said] = {}
    taking: dict[tuple[str, str], list[Soon]] = {}
    for one in found:
        if one.takes is not None:
            taking.setdefault((one.detector, one.unit), []).append(one)
        elif one.smallest is None:
            reasons.setdefault(one.says, {}).setdefault(one.detector, []).append(one.subject)
    lines = []
    for (detector, unit), some in taking.items():
        least, most = (f"{pick(one.takes or 0 for one in some):,}" for pick in (min, max))
        takes = least if least == most else f"{least} to {most}"
        lines.append(f"{_named(detector, [one.subject for one in some])}: nothing: it takes {takes} {unit} a day")
    return lines + [f"{', '.join(_named(detector, on) for detector, on in of.items())}: {says}" for says, of in reasons.items()]


def _named(detector: str, subjects: Sequence[str]) -> str:
    return detector if [*subjects] == [detector] else f"{detector} ({folded(subjects)})"


def folded(subjects: Sequence[str], most: int = _MOST_NAMED) -> str:
    """The first few, where there are many; one more is not worth a word."""
    return ", ".join(subjects) if len(subjects) <= most + 1 else f"{', '.join(subjects[:most])} and {len(subjects) - most} more"
