"""What was read from the spool and is not in a committed pane yet. All of it is in the spool still: memory may be lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings_monitors import Monitors
    from daemon.store.ahead import Piece
    from daemon.store.ports import Label, Mark
    from daemon.store.spooled import Spooled


@dataclass(slots=True)
class Buffer:
    """One pane of one model while it is open."""

    first: Mark
    """Before the earliest spool entry that put something here: the ledger's mark may not pass it."""
    records: list[Spooled] = field(default_factory=list)
    """Sampled ones, in the order in which they came."""
    keys: list[bytes] = field(default_factory=list)
    unsampled: list[tuple[bytes, float]] = field(default_factory=list)
    """(key, at) of those that the hash left out."""
    seen: Counter[str] = field(default_factory=Counter)
    """Version -> records, sampled or not."""
    pieces: list[Piece] = field(default_factory=list)
    """Of the first records: built ahead."""


@dataclass(frozen=True, slots=True)
class HeldLabel:
    """A label that is not in the ledger yet."""

    label: Label
    key: bytes
    at: float
    received_at: float
    first: Mark


@dataclass(slots=True)
class Pending:
    """All of one model."""

    buffers: dict[int, Buffer] = field(default_factory=dict)
    """Pane index (start // pane_s) -> its buffer."""
    keys: set[bytes] = field(default_factory=set)
    """Of every record in the buffers."""
    labels: list[HeldLabel] = field(default_factory=list)
    """In the order in which they came."""
    label_keys: set[bytes] = field(default_factory=set)
    closed: int | None = None
    """Index of the newest closed pane."""
    n_waiting: int = 0
    """Labels in the ledger that wait for their record."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Version -> records under an id that had come before, since the last closed pane."""

    def drop(self, index: int) -> None:
        """Forget a buffer: its pane is committed."""
        buffer = self.buffers.pop(index)
        self.keys.difference_update(buffer.keys)
        self.keys.difference_update(key for key, _ in buffer.unsampled)

    def drop_labels(self, keys: set[bytes]) -> None:
        """Forget labels: they are in the ledger."""
        self.labels = [held for held in self.labels if held.key not in keys]
        self.label_keys -= keys

    def firsts(self) -> Iterator[Mark]:
        """Marks that the ledger's may not pass."""
        yield from (buffer.first for buffer in self.buffers.values())
        if self.labels:
            yield self.labels[0].first

    def closable(self, monitors: Monitors, until: float, *, now: float, future_s: float) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(pane index, late indices before it) of every pane that is due by `until`.

        A pane further ahead of the clock (`now`) than any record may be is of a clock that was set back since: what is in it comes with the
        late ones, instead of waiting for its time.
        """
        pane_s, watermark_s = monitors.pane_s, monitors.watermark_s
        newest = int((until - watermark_s) // pane_s) - 1  # the newest pane that may be closed
        ahead = {i for i in self.buffers if i * pane_s > now + future_s}
        closed = self.closed if self.closed is not None else min([newest, *self.buffers]) - 1
        late = tuple(sorted(i for i in self.buffers if i <= closed or i in ahead))
        found = sorted(i for i in self.buffers if closed < i <= newest)
        last_at = (found[-1] + 1) * pane_s + watermark_s if found else float("-inf")
        newest_at = (newest + 1) * pane_s + watermark_s
        settled = {*late, *found}
        if newest > max([closed, *found]) and (
            (late and not found) or any(h.received_at > last_at for h in self.labels_due(newest_at, settled, now))
        ):
            found.append(newest)
        for position, index in enumerate(found):
            yield index, late if position == 0 else ()

    def labels_due(self, close_at: float, own: set[int], now: float) -> list[HeldLabel]:
        """Labels received by then, but for those whose record is in a pane that stays open; `own`: panes that do not.

        One that came later than it is `now` came before the clock was set back.
        """
        due = [held for held in self.labels if held.received_at <= close_at or held.received_at > now]
        if not due:
            return []
        others = [b for i, b in self.buffers.items() if i not in own]
        if not others:
            return due
        open_keys = {key for b in others for key in b.keys}.union(key for b in others for key, _ in b.unsampled)
        return [held for held in due if held.key not in open_keys]
