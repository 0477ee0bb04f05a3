"""What is seen of columns: numbers, categories, figures of texts, what a learnt witness tells apart, and faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.watched.seen.day import Soon, nothing, one_in, seen
from detectors.quality.by_hour import ByHour
from detectors.quality.duplicate_content import ContentState
from detectors.quality.repeats import REST_N
from detectors.rhythm import Rhythm
from detectors.sequential.growth import smallest_rise, smallest_share, smallest_shift
from detectors.sequential.growth_of_witness import half_b, smallest_part
from detectors.sequential.hour_witness import held_n
from detectors.sequential.share import NO_LIMIT
from detectors.sequential.timed_rows import hours_in
from detectors.sequential.witness import POOLS_N
from detectors.sketches.records import AT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.watched.seen.day import Day
    from detectors.quality.fault import Rise, RiseState
    from detectors.sequential.conformal_category import CategoryState, ConformalCategory
    from detectors.sequential.conformal_numeric import ConformalNumeric, NumericState
    from detectors.sequential.text_figures import FiguresState, TextFigures
    from detectors.types import Reference

_NO_ROW = "the reference has no row of it"
_ROUNDS_N = 12
"""From below: the more hits there are, the fewer records count."""


def of_number(d: ConformalNumeric, state: NumericState, day: Day) -> Soon:
    """The same for all columns of numbers: ranks know no scale."""
    return _shift(d, state, day, alpha=d.alpha, what="a number moves")


def of_text_figures(d: TextFigures, state: FiguresState, day: Day) -> Soon:
    """Of the figures that are ranked among all reference rows; each has its part of the stake."""
    return _shift(d, state.figures[0], day, alpha=d.alpha / len(state.figures), what="length or another figure of the texts moves")


def _shift(d: Any, state: NumericState, day: Day, *, alpha: float, what: str) -> Soon:  # noqa: ANN401 (a detector of numbers)
    rows = [cells.reference_n for cells in state.hours]
    if not any(rows):
        return nothing(d, _NO_ROW)
    return seen(
        d,
        lambda times: smallest_shift(alpha=alpha, hours=each_hour(rows, times * day.records_n)),
        lambda shift: f"{what} by {shift:.2f} standard deviations",
        n=day.records_n / day.share,
        unit="records",
        never=f"the reference has too few rows of it ({sum(rows)})",
    )


def of_category(d: ConformalCategory, state: CategoryState, day: Day) -> Soon:
    """Of the most frequent value."""
    rows = [cells.reference_n for cells in state.hours]
    if not any(rows):
        return nothing(d, _NO_ROW)
    shares = np.sum([cells.reference_n * cells.shares for cells in state.hours if cells.reference_n], axis=0) / sum(rows)
    cell = int(np.argmax(shares))
    share, name = float(shares[cell]), "a value" if day.is_supposed else [*state.categories, "missing", "others"][cell]
    return seen(
        d,
        lambda times: smallest_share(
            alpha=d.alpha, share=share, watched_n=len(state.watched), hours=each_hour(rows, times * day.records_n)
        ),
        lambda risen: f"the share of {name} rises from {share:.1%} to {risen:.1%}",
        n=day.records_n / day.share,
        unit="records",
        never=f"the reference has too few rows of it ({sum(rows)})",
    )


def of_witness(
    d: Any,  # noqa: ANN401 (each detector has settings of its own)
    reference: Reference,
    day: Day,
    *,
    columns: Sequence[str],
    what: tuple[str, str],
    stake: float = 1.0,
    pools: tuple[int, ...] = POOLS_N,
) -> Soon:
    """Of texts, vectors or rows that one learns to tell apart; `what`: "text", "texts"; `stake`: its part of the detector's.

    `pools`: how many rows its witnesses learn from, without a rhythm.
    """
    known = [len(reference.columns[c]) for c in columns if c in reference.columns]
    rows_n = min(known) if known else len(reference.columns.get(AT, ())) if day.is_supposed else 0
    if rows_n < d.min_n:
        return nothing(d, f"the reference has {rows_n} {what[1]}, {d.min_n} are needed")
    at = hours_in(reference.columns, d.subject, rows_n, d.rhythm)
    rows = np.bincount(at[at >= 0], minlength=1)

    def hours(n: float) -> tuple[tuple[int, float], ...]:
        if d.rhythm is Rhythm.NONE:
            return ((half_b(rows_n), n),)
        return tuple((held_n(k), n * k / rows.sum()) for k in rows.tolist() if held_n(k))

    return seen(
        d,
        lambda times: smallest_part(
            alpha=stake * d.alpha,
            delta=stake * d.delta,
            hours=hours(times * day.records_n),
            panes_n=day.panes_n,
            pools=pools if d.rhythm is Rhythm.NONE else POOLS_N,
        ),
        lambda part: f"at best {one_in(part, *what)} of a kind that the reference does not have",
        n=day.records_n / day.share,
        unit="records",
        never=f"{rows_n} {what[1]} of the reference are too few",
    )


def of_fault(d: Rise, state: RiseState, day: Day) -> Soon:
    """Data that come damaged."""
    limit = state.share.limit
    if limit == NO_LIMIT:
        return nothing(d, d.why_no_limit(state.known))
    hours, where = (state.hours, " in the mean of the hours") if isinstance(state, ByHour) else (((limit, 1.0),), "")
    rest_n = REST_N if isinstance(state, ContentState) else 0  # records after a hit that do not count

    def smallest(times: float) -> float:
        n, risen = times * day.records_n, 0.0
        for _ in range(_ROUNDS_N if rest_n else 1):
            counted = n / (1.0 + rest_n * min(1.0, risen))
            risen = smallest_rise(alpha=d.alpha, hours=tuple((m, counted * part) for m, part in hours))
        return risen

    return seen(
        d,
        smallest,
        lambda risen: f"{risen:.1%} of {d.trial} {d.noun} (fine: {limit:.1%}{where})",
        n=day.records_n / day.share,
        unit="records",
        never=f"{limit:.1%} are fine: that leaves no room",
    )


def each_hour(rows: Sequence[int], n: float) -> tuple[tuple[int, float], ...]:
    """(reference rows, records of a day) of each hour: records come as the reference's rows did. Of a week: an average day."""
    kept = [r for r in rows if r]
    return tuple((r, n * r / sum(kept)) for r in kept)
