"""Which of a model's stored things may go now: pure. What is needed stays, whatever its age and whatever the limits say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Why(StrEnum):
    """Why something was removed: a closed set, also the metric's label."""

    AGE = "age"
    BYTES = "bytes"


class Kind(StrEnum):
    """What is stored, by how long it is kept."""

    RECORDS = "records"
    """A pane: its Parquet, its row, the labels of its records."""
    SKETCHES = "sketches"
    """A pane's sketches; its row stays."""
    WORK = "work"
    """Checkpoints of an ended run, jobs of a written report."""
    RUN = "run"
    REFERENCE = "reference"
    ADAPTER = "adapter"
    REPORT = "report"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One thing that can be removed."""

    kind: Kind
    name: str
    """Path relative to the data folder; of sketches the pane's id."""
    at: float
    """What its age counts from: the pane's end, the run's, the epoch's, the incident's."""
    n_bytes: int
    """Of its files; 0 = removing it frees no file."""
    within: str = ""
    """What it belongs to: it is needed when that is."""
    row: int | str | None = None
    """The ledger's row that knows it: a pane's id, a report's incident."""


Span = tuple[float, float]
"""(after, until]: of panes' ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What must stay."""

    records: tuple[Span, ...]
    """Labels still come, an incident is open, a run trains or watches, an epoch learns."""
    sketches: tuple[Span, ...]
    """Windows are merged from them."""
    names: frozenset[str]
    """Names of items: of the present epoch, active runs, the champion, the previous and the challenger, and what settings name."""

    def hold(self, item: Item) -> bool:
        """Whether it must stay."""
        if item.kind in {Kind.RECORDS, Kind.SKETCHES}:
            spans = self.sketches if item.kind is Kind.SKETCHES else (*self.records, *self.sketches)
            return any(after < item.at <= until for after, until in spans)
        return item.name in self.names or item.within in self.names


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one model."""

    age_s: Mapping[Kind, float]
    max_bytes: int | None


def removable(items: Iterable[Item], needs: Needs, limits: Limits, *, kept_bytes: int, now: float, most_n: int) -> list[tuple[Item, Why]]:
    """At most `most_n` items with the reason, oldest first: those too old, then, while the rest is above the limit, the oldest of it.

    Nothing that is needed is ever among them. Cost: O(n log n).
    """
    order = {kind: i for i, kind in enumerate(Kind)}  # of what is equally old: a run's checkpoints before the run
    free = sorted((item for item in items if not needs.hold(item)), key=lambda item: (item.at, order[item.kind], item.name))
    chosen = [(item, Why.AGE) for item in free if item.at < now - limits.age_s[item.kind]]
    left = kept_bytes - sum(item.n_bytes for item, _ in chosen)
    if limits.max_bytes is not None:
        for item in free:
            if left <= limits.max_bytes:
                break
            if item.n_bytes and item.at >= now - limits.age_s[item.kind]:
                chosen.append((item, Why.BYTES))
                left -= item.n_bytes
    return sorted(chosen, key=lambda pair: pair[0].at)[:most_n]
