"""What was read of the spool, to where it waits for its pane: each once, on time, sampled; what is dropped is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from daemon.store.pending import Buffer, HeldLabel
from daemon.store.spooled import records_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from daemon.settings import ModelSettings
    from daemon.store.pending import Pending
    from daemon.store.ports import Entry, Label, Mark
    from daemon.store.spooled import Spooled

T = TypeVar("T")


class Item(Struct, Generic[T], frozen=True, gc=False):
    """A record or a label."""

    what: T
    key: bytes
    at: float
    received_at: float
    first: Mark
    """The mark before its entry."""
    is_fresh: bool
    """False: read before a restart, so its drops are counted already."""


def records_in(entry: Entry) -> Iterator[tuple[Spooled, float]]:
    """Each with its time. Raises ValueError where its lines cannot be records."""
    return ((record, record.at) for record in records_of(entry.payload, entry.heads))


def labels_in(labels: Sequence[Label]) -> Iterator[tuple[Label, float]]:
    """Each with its time."""
    return ((label, label.at.timestamp()) for label in labels)


def sort_records(
    items: Sequence[Item[Spooled]],
    pending: Pending,
    known: AbstractSet[bytes],
    count: Counter[tuple[str, str]],
    *,
    model: ModelSettings,
    included: Callable[[str, str, float], bool],
) -> None:
    """Into the buffers of their panes. `known`: keys that are committed; `included`: whether an id is in the sample."""
    for item in items:
        if item.key in known or item.key in pending.keys:
            count["records", "duplicate"] += item.is_fresh
            if item.is_fresh:
                pending.repeated[item.what.version] += 1
        elif item.at < item.received_at - model.monitors.lateness_s:
            count["records", "late"] += item.is_fresh
        else:
            pending.keys.add(item.key)
            _keep(item, pending, model, included)


def sort_labels(items: Sequence[Item[Label]], pending: Pending, known: AbstractSet[bytes], count: Counter[tuple[str, str]]) -> None:
    """To those that wait until they are due; `known`: keys that are committed. No label is late."""
    for item in items:
        if item.key in known or item.key in pending.label_keys:
            count["labels", "duplicate"] += item.is_fresh
        else:
            pending.label_keys.add(item.key)
            pending.labels.append(HeldLabel(item.what, item.key, item.at, item.received_at, item.first))


def _keep(item: Item[Spooled], pending: Pending, model: ModelSettings, included: Callable[[str, str, float], bool]) -> None:
    record = item.what
    index = int(item.at // model.monitors.pane_s)
    buffer = pending.buffers.get(index)
    if buffer is None:
        buffer = pending.buffers[index] = Buffer(item.first)
    buffer.seen[record.version] += 1
    if model.sample_ratio >= 1.0 or included(record.id, model.name, model.sample_ratio):
        buffer.records.append(record if model.sample_ratio >= 1.0 else record.alone())
        buffer.keys.append(item.key)
    else:
        buffer.unsampled.append((item.key, item.at))
