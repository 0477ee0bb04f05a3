"""What each kind of alarm is expected to see within a day at the model's traffic: the smallest change, or why it is not computed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.watched.knob import alpha_of
from detectors.fairness.metric import COUNTED, GAPS
from detectors.quality.fault import Rise
from detectors.sequential.ceiling import Ceiling
from detectors.sequential.column_of_segment import ColumnOfSegment
from detectors.sequential.conformal_category import CategoryState
from detectors.sequential.conformal_numeric import NumericState
from detectors.sequential.fairness_gap import FairnessGap
from detectors.sequential.floor import Floor
from detectors.sequential.growth import SEEN, smallest_gap, smallest_rise, smallest_share, smallest_shift
from detectors.sequential.share import NO_LIMIT, ShareState
from detectors.sequential.text_figures import FiguresState
from detectors.sketches.records import BLOCK_N
from detectors.types import EValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detectors.types import Detector, Pairs, Reference

_FEWEST_GROUPS = 2
_MOST_SAID = 2
"""Inputs of a segment whose sentences are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Soon:
    """Of one detector and subject."""

    detector: str
    subject: str
    says: str
    """A sentence without its subject: "falls to 0.74 or lower (floor 0.8)"."""
    smallest: float | None = None
    """In the unit of the figure; None = no change is seen within a day, or it is not computed."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """What a day brings."""

    records_n: float
    labels_n: float | None
    """None = not known."""


def soon_seen(detectors: Iterable[Detector], reference: Reference, day: Day) -> list[Soon]:
    """One for each detector that alarms.

    `reference`: as far as it is known now: columns that stand for it, labelled bound rows.
    """
    return [_soon(d, d.start(reference), reference, day) for d in detectors]


def _soon(d: Any, state: Any, reference: Reference, day: Day) -> Soon:  # noqa: ANN401 (a detector and a state of its own)
    if isinstance(d, ColumnOfSegment):
        day = replace(day, records_n=d.within.share(reference.columns) * day.records_n)
    if isinstance(state, NumericState):
        found = _number(d, state, day)
    elif isinstance(state, FiguresState):
        found = _figures(d, state, day)
    elif isinstance(state, CategoryState):
        found = _category(d, state, day)
    elif isinstance(d, FairnessGap):
        found = _gap(d, reference.bound, day)
    elif isinstance(state, ShareState) and d.evidence is not EValue:
        found = _limit(d, state, reference, day)
    elif isinstance(share := getattr(state, "share", None), ShareState) and isinstance(d, Floor | Rise):
        found = _limit(d, share, reference, day) if isinstance(d, Floor) else _fault(d, share, day)
    else:
        found = _unknown(d, "what it has learnt, or won, by then decides")
    return found


def _number(d: Any, state: NumericState, day: Day) -> Soon:  # noqa: ANN401
    """The same for all columns of numbers: ranks know no scale."""
    if not state.reference_n:
        return _unknown(d, "no reference row is known")
    shift = smallest_shift(alpha=alpha_of(d), hours=_hours([cells.reference_n for cells in state.hours], day.records_n))
    if math.isinf(shift):
        return _told(d, None, "no shift of a number")
    return _told(d, shift, f"a number moves by {shift:.2f} standard deviations ({state.reference_n:,} reference rows)")


def _figures(d: Any, state: FiguresState, day: Day) -> Soon:  # noqa: ANN401
    """Of the figures of a text that are ranked among all reference rows; each has its part of the stake."""
    figure = state.figures[0]
    if not figure.reference_n:
        return _unknown(d, "no reference row is known")
    shift = smallest_shift(alpha=alpha_of(d) / len(state.figures), hours=_hours([c.reference_n for c in figure.hours], day.records_n))
    if math.isinf(shift):
        return _told(d, None, "no shift of a figure of the texts")
    moved = f"their length or another figure moves by {shift:.2f} standard deviations"
    return _told(d, shift, f"{moved} ({figure.reference_n:,} reference rows)")


def _category(d: Any, state: CategoryState, day: Day) -> Soon:  # noqa: ANN401
    """Of the most frequent value."""
    counted = sum(cells.reference_n for cells in state.hours)
    if not counted:
        return _unknown(d, "no reference row is known")
    shares = np.sum([cells.reference_n * cells.shares for cells in state.hours if cells.reference_n], axis=0) / counted
    cell = int(np.argmax(shares))
    hours = _hours([cells.reference_n for cells in state.hours], day.records_n)
    risen = smallest_share(alpha=alpha_of(d), share=float(shares[cell]), watched_n=len(state.watched), hours=hours)
    name = [*state.categories, "missing", "others"][cell]
    if math.isinf(risen):
        return _told(d, None, f"no rise of the share of {name} ({shares[cell]:.2f})")
    return _told(d, risen, f"the share of {name} rises from {shares[cell]:.2f} to {risen:.2f}")


def _hours(rows: Sequence[int], n: float) -> tuple[tuple[int, float], ...]:
    """(reference rows, records of a day) of each hour: records come as the reference's rows did. Of a week: an average day."""
    kept = [r for r in rows if r] or [0]
    total = sum(kept)
    return tuple((r, n * r / total if total else n) for r in kept)


def _limit(d: Any, state: ShareState, reference: Reference, day: Day) -> Soon:  # noqa: ANN401 (a floor, a ceiling, a change of risk)
    """A figure of labelled records that is held to a limit."""
    counting = _counting(d, reference)
    if (why := _why_not(state.limit, day.labels_n, counting, d.most_weight)) is not None or day.labels_n is None or counting is None:
        return _unknown(d, why or "")
    loss = smallest_rise(alpha=d.alpha, limit=state.limit, n=counting * day.labels_n)
    now, limit = (_figure(d, state.clip, x) for x in (min(loss, 1.0), state.limit))
    word, name = ("falls", "floor") if now < limit else ("rises", "limit")
    if math.isinf(loss):
        return _told(d, None, f"no change of it ({name} {limit:.3g})")
    return _told(d, now, f"it {word} to {now:.3g} ({name} {limit:.3g})")


def _why_not(limit: float, labels_n: float | None, counting: float | None, most_weight: float) -> str | None:
    """Why nothing can be said; None = it can."""
    reasons = (
        (limit == NO_LIMIT, "it has no limit yet (reference.bound)"),
        (labels_n is None, "how many labels a day brings is not known (--labels, --labels-per-day)"),
        (counting is None, "which labels count is not known without reference.bound"),
        (most_weight > 1.0, "labels weigh unevenly"),
    )
    return next((why for holds, why in reasons if holds), None)


def _figure(d: Any, clip: float, loss: float) -> float:  # noqa: ANN401
    """What a person knows, of a mean loss in [0, 1]."""
    if isinstance(d, Floor):
        return float(d.metric_at(1.0 - loss))
    return float(d.shown(clip * loss) if isinstance(d, Ceiling) else clip * loss)


def _counting(d: Any, reference: Reference) -> float | None:  # noqa: ANN401
    """Share of labelled records that count for the figure, of a segment at its share of the traffic; None = not known."""
    within = getattr(d, "within", None)
    share = 1.0 if within is None else within.share(reference.columns)
    if not isinstance(d, Floor) or d.metric == "accuracy":
        return share
    bound = d.kept(reference.bound)
    return share * float(d.counts(bound).mean()) if bound.n else None


def _fault(d: Any, share: ShareState, day: Day) -> Soon:  # noqa: ANN401 (a rise of a fault)
    if share.limit == NO_LIMIT:
        return _unknown(d, "what the reference will have of it is not known")
    risen = smallest_rise(alpha=d.alpha, limit=share.limit, n=day.records_n / (BLOCK_N if d.trial == "blocks" else 1))
    fine = f"(fine: {share.limit:.2%})"
    return (
        _told(d, None, f"no rise of the share {fine}") if math.isinf(risen) else _told(d, risen, f"the share rises to {risen:.2%} {fine}")
    )


def _gap(d: FairnessGap, bound: Pairs, day: Day) -> Soon:
    """Between the two largest groups, of the first rate, in the proportions of the bound rows."""
    if day.labels_n is None:
        return _unknown(d, "how many labels a day brings is not known (--labels, --labels-per-day)")
    if d.most_weight > 1.0:
        return _unknown(d, "labels weigh unevenly")
    column = bound.groups.get(d.by)
    if column is None:
        return _unknown(d, "how large the groups are is not known without reference.bound")
    rates = GAPS[d.metric]
    given, label = bound.predicted == d.positive, bound.label == d.positive
    place = np.array(["tn", "fp", "fn", "tp"])[2 * label + given]
    counted = np.isin(place, list(COUNTED[rates[0]].of))
    sizes = sorted((float((counted & (column == g)).mean()) for g in {*column.tolist()} - {None}), reverse=True)[:_FEWEST_GROUPS]
    if len(sizes) < _FEWEST_GROUPS or min(sizes) * day.labels_n < d.min_n:
        return _unknown(d, f"a day brings fewer than {d.min_n} labels that count of two groups")
    first, second = (size * day.labels_n for size in sizes)
    weight = 6.0 / math.pi**2 / (2.0 * len(rates))
    gap = smallest_gap(alpha=d.alpha, maximum=d.maximum, weight=weight, first_n=first, second_n=second)
    if math.isinf(gap):
        return _told(d, None, f"no gap (maximum {d.maximum:g})")
    rate = rates[0].value.replace("_", " ")
    says = f"a gap of {gap:.2f} between the two largest groups, of {rate} rates around one half"
    return _told(d, gap, f"{says} (maximum {d.maximum:g}; in half of the first days of an epoch)")


def _told(d: Any, smallest: float | None, says: str) -> Soon:  # noqa: ANN401
    return Soon(detector=d.name, subject=d.subject, says=says, smallest=None if smallest is None else float(smallest))


def _unknown(d: Any, why: str) -> Soon:  # noqa: ANN401
    return _told(d, None, f"not computed: {why}")


def heading(day: Day) -> str:
    """What the lines are about."""
    labels = "" if day.labels_n is None else f" and {day.labels_n:,.0f} labels"
    return f"seen within a day of {day.records_n:,.0f} records{labels}, in {SEEN:.0%} of cases"


def in_lines(found: Iterable[Soon], detectors: Iterable[Detector]) -> list[str]:
    """A line for all subjects of a detector of which the same is said, and one for the inputs of a segment; `detectors`: of `found`."""
    subjects: dict[tuple[str, str], list[str]] = {}
    inside: dict[str, list[tuple[str, str]]] = {}
    for one, d in zip(found, detectors, strict=True):
        if isinstance(d, ColumnOfSegment) and not d.column.startswith("output."):
            inside.setdefault(f"{one.detector} within {d.within}", []).append((d.column, one.says))
        else:
            subjects.setdefault((one.detector, one.says), []).append(one.subject)
    lines = [f"{detector} ({', '.join(on)}): {says}" for (detector, says), on in subjects.items()]
    return lines + [f"{name}, {_of_inputs(said)}" for name, said in inside.items()]


def _of_inputs(said: Sequence[tuple[str, str]]) -> str:
    """What is seen of one segment's inputs, (column, sentence)."""
    if len({says for _, says in said}) == 1:
        return f"{len(said)} {'input' if len(said) == 1 else 'inputs'}: {said[0][1]}"
    some = "; ".join(f"{column}: {says}" for column, says in said[:_MOST_SAID])
    return some if len(said) <= _MOST_SAID else f"{some}; and {len(said) - _MOST_SAID} more (--json)"
