"""What the service and the process that embeds say to each other. Pure data, no torch."""

from __future__ import annotations

import msgspec


class Wanted(msgspec.Struct, frozen=True, kw_only=True, tag="wanted"):
    """What the process is for."""

    model: str
    """Folder, `package:NAME`, or a hub id that is in the local cache."""
    pooling: str | None
    """mean | cls; None = what the folder says (`1_Pooling/config.json`), else mean."""
    max_tokens: int
    batch_n: int
    memory_bytes: int
    """Of the process; an allocation beyond it fails."""
    answer_s: float
    """An answer that takes longer: the process ends itself, should nobody be there to end it."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The encoder is loaded, or cannot be."""

    error: str = ""
    """A sentence; empty = it works."""
    fingerprint: str = ""
    """Of everything that a vector depends on but its text: weights, tokeniser, pooling, `max_tokens`."""
    dimensions: int = 0
    texts_per_s: float = 0.0
    """Of texts of some 25 tokens."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What became of some texts."""

    vectors: bytes
    """float32, little endian, shape (texts, dimensions); a row of NaN = no vector."""
    cpu_s: float
    rss_bytes: int
    """The most that the process held so far."""
