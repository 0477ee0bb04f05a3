"""What nothing watches any more once another reference takes the place of one: columns, hours of a rhythm, segments. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.decide.monitors.inputs import watched_inputs
from daemon.decide.monitors.segments import segments_of, watched_values
from detectors.rhythm import Rhythm, hours_of
from detectors.sketches.records import AT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.decide.monitors.segments import Values
    from daemon.settings import ModelSettings
    from detectors.types import Reference

_MOST_NAMED = 20
"""In a sentence; the ledger has all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LostSegment:
    """A value that the new reference has too few rows of, or that others crowd out."""

    name: str
    """ "shop=fr"."""
    n: int
    """Rows of the new reference."""
    needed: int
    """`segments.least_n`."""

    @property
    def is_short(self) -> bool:
        """More rows would bring it back."""
        return self.n < self.needed

    def __str__(self) -> str:
        """With the reason."""
        why = f"{self.n} rows, segments.least_n is {self.needed}" if self.is_short else "others are more frequent: segments.most_n"
        return f"{self.name} ({why})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """What the earlier reference knows and the new one does not."""

    columns: tuple[str, ...] = ()
    """Columns without a value, and hours without a record: "23 of 24 hours (hour of day)"."""
    segments: tuple[LostSegment, ...] = ()
    inputs: tuple[str, ...] = ()
    """Columns that are watched within the whole only: there are more segments now than `segments.inputs.most_n` leaves room for."""

    def names(self) -> list[str]:
        """Each; [] = nothing is lost."""
        return [*self.columns, *(one.name for one in self.segments), *(f"{subject} within segments" for subject in self.inputs)]

    def unwatched(self) -> str:
        """Segments, and inputs within them, with the reason; "" = none."""
        within = [f"{subject} within segments (segments.inputs.most_n)" for subject in self.inputs]
        return _listed([*map(str, self.segments), *within])

    def in_words(self) -> str:
        """What a person is told who has to live with it; "" = nothing is lost."""
        parts = (("without a reference", _listed(self.columns)), ("not watched any more", self.unwatched()))
        return "; ".join(f"{what}: {said}" for what, said in parts if said)

    def why_not(self) -> str:
        """What a person is told who may still leave it; "" = nothing is lost."""
        gone, unwatched = _listed(self.columns), self.unwatched()
        parts = [f"no record since then is there of {gone}, which would have no reference any more"] if gone else []
        return "; ".join(parts + ([f"nothing would watch {unwatched} any more"] if unwatched else []))


def lost(model: ModelSettings, before: Reference, after: Reference) -> Lost:
    """`before`, `after`: references of one model with the same settings."""
    values, kept = (watched_values(model, of.columns) for of in (before, after))
    out, left = watched_inputs(model, values, before.columns).left_out, watched_inputs(model, kept, after.columns).left_out
    return Lost(
        columns=tuple(_columns(before, after, model.reference.rhythm)),
        segments=tuple(_segments(model, values, kept, after)),
        inputs=tuple(subject for subject in left if subject not in out and subject in before.columns),
    )


def _columns(before: Reference, after: Reference, rhythm: Rhythm) -> list[str]:
    gone = sorted(set(before.columns) - set(after.columns))
    known, now = ({*hours_of(of.columns[AT], rhythm).tolist()} - {-1} for of in (before, after))
    if rhythm is Rhythm.NONE or known <= now:
        return gone
    return [*gone, f"{len(known - now)} of {len(known)} hours ({rhythm.value.replace('_', ' ')})"]


def _segments(model: ModelSettings, values: Values, kept: Values, after: Reference) -> list[LostSegment]:
    counted = {column: Counter(str(v) for v in after.columns[column].tolist()) for column in values if column in after.columns}
    watched = segments_of(model, kept)
    return [
        LostSegment(name=str(one), n=counted.get(one.column, Counter())[one.value], needed=one.least_n)
        for one in segments_of(model, values)
        if one not in watched
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join([*names[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])
