"""A closed pane: everything that one commit writes, already computed and its Parquet already on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from detectors.sketches.confusion import Confusion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.store.answers import Output
    from daemon.store.pending import HeldLabel
    from detectors.types import Increment


class Reign(NamedTuple):
    """What of a model's traffic goes to its detectors."""

    version: str
    since: float
    """Start of the epoch: earlier records were of another one, or are its reference."""
    answers_since: float | None = None
    """Labels of the version's records from then on are judged, also those of an earlier epoch that come late; None = as `since`."""
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One version's share of a pane: one row of the ledger's `pane` table."""

    version: str
    start: float
    end: float
    seq: int
    """0, then 1, 2, … for late additions to the same [start, end)."""
    path: str | None
    """Parquet of the sampled records, relative to data_dir; None = no record (labels of earlier ones only)."""
    sample_ratio: float | None
    """Share of its records that was kept, as set; None = no record came."""
    n_seen: int
    n_pairs: int
    summary: Mapping[str, Mapping[str, Any]]
    """Subject -> {sketch name: sketch} of the sampled records."""
    confusion: Confusion = field(default_factory=Confusion)
    """Of the labelled pairs that were joined with this pane."""
    judged: Mapping[str, Any] = field(default_factory=dict)
    """Further sketches of the same pairs."""
    keys: list[bytes] = field(default_factory=list)
    """Of the sampled records, in the order of the Parquet's rows."""
    ats: list[float] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Sampled records."""
        return len(self.keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class Join:
    """What became of one label."""

    held: HeldLabel
    state: str
    """joined | waiting | unsampled | expired (its record is not kept any more)."""
    is_new: bool
    """False: it waited in the ledger."""
    pane_id: int | None = None
    """Of its record, when committed earlier; None with `part` set: in this pane."""
    part: int | None = None
    row: int | None = None
    version: str = ""
    """Of its record, when joined; the following ones likewise."""
    at: float = 0.0
    output: Output | None = None
    """What was answered."""
    groups: Mapping[str, str | None] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What was asked, by subject: see `ModelSettings.asked`."""
    pi: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ClosedPane:
    """[start, end) of one model, with late additions to earlier panes as further parts."""

    model: str
    start: float
    end: float
    parts: tuple[Part, ...]
    joins: tuple[Join, ...]
    increment: Increment
    """Of the champion's version and epoch: what the sequential detectors eat, each record and each pair once."""
    epoch: int | None = None
    """For which it was made; None = no champion was known."""
    indices: tuple[int, ...]
    """Of the buffers that it empties."""
    unsampled: tuple[tuple[bytes, float], ...]
    told: Mapping[str, int] = field(default_factory=dict)
    """`embed.panes.Told` -> records, of all columns with an encoder together."""

    @property
    def n_seen(self) -> int:
        """Records of all versions, sampled or not."""
        return sum(part.n_seen for part in self.parts)

    @property
    def n(self) -> int:
        """Sampled records of all versions."""
        return sum(part.n for part in self.parts)

    @property
    def n_pairs(self) -> int:
        """Labelled pairs of all versions."""
        return sum(part.n_pairs for part in self.parts)
