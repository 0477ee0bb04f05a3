"""What the store expects of what stands before it: the spool's entries and parsed records. Capture has them; wiring joins the two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Mark(NamedTuple):
    """A position in the spool; ordered. The spool's own mark has the same two fields."""

    segment: int
    offset: int


class Named(Protocol):
    """A member of the spool's EntryKind."""

    @property
    def name(self) -> str:
        """RECORDS | LABELS."""
        ...


class Entry(Protocol):
    """One durable entry of the spool: a body as NDJSON."""

    @property
    def kind(self) -> Named:
        """Records or labels."""
        ...

    @property
    def payload(self) -> bytes:
        """NDJSON."""
        ...

    @property
    def n(self) -> int:
        """Lines."""
        ...

    @property
    def received_at(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    @property
    def mark(self) -> tuple[int, int]:
        """The position after it."""
        ...

    @property
    def heads(self) -> bytes:
        """`spooled.Heads` of its records; empty where nobody made them."""
        ...


class Said(Protocol):
    """What an answer should have been."""

    @property
    def label(self) -> str | None:
        """The true class."""
        ...

    @property
    def value(self) -> float | None:
        """The true number."""
        ...

    @property
    def text(self) -> str | None:
        """The wanted text."""
        ...

    @property
    def score(self) -> float | None:
        """A judgement."""
        ...


class Label(Said, Protocol):
    """What came later about a record's answer."""

    @property
    def id(self) -> str:
        """Of its record."""
        ...

    @property
    def model(self) -> str:
        """As in the settings."""
        ...

    @property
    def at(self) -> datetime:
        """With zone."""
        ...

    @property
    def probability(self) -> float | None:
        """The chance that a label plan gave the record."""
        ...

    @property
    def source(self) -> str:
        """Who says so."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """Where the intake reads from."""

    read: Callable[[Any], Iterator[Entry]]
    """Durable entries after a mark, oldest first; ends at the newest. (Any: the spool's own mark type has the fields of ours.)"""
    release: Callable[[Any], None]
    """Everything before a mark is stored elsewhere."""
    parse_labels: Callable[[bytes], Sequence[Label]]
    included: Callable[[str, str, float], bool]
    """(id, model, ratio) -> whether the record is sampled; a keyed hash, so the same for ever."""
