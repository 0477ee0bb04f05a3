"""Which texts of a pane are embedded: those of the records with the smallest keyed hashes, before any text is looked at."""

from __future__ import annotations

import heapq
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec.json import Decoder

from daemon.store.asked import groups_of
from daemon.store.decoded import output_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.store.pending import Buffer
    from daemon.store.spooled import Spooled

LEAST_N = 16
"""Fewer texts of a pane are not worth an encoder: a busy one takes so many all the same."""
BUSY = 0.5
"""Most of the time that an encoder may be at work, all its columns together."""
_TOKEN_CHARS = 32
"""Of a text no more characters than this a token are sent to the process."""
_OBJECT = Decoder(dict[str, object])


def sample(buffers: Iterable[Buffer], most_n: int, salt: bytes) -> list[tuple[bytes, Spooled]]:
    """At most `most_n` records with their keys, in the order of a keyed hash of their ids.

    Uniform among the records whatever their texts; the same for the same records; whoever sends them cannot tell which. Cost: 1 microsecond
    a record.
    """
    found = ((key, record) for buffer in buffers for key, record in zip(buffer.keys, buffer.records, strict=True))
    return heapq.nsmallest(most_n, found, key=lambda pair: blake2b(pair[0], key=salt, digest_size=8, person=b"embed").digest())


def affordable(most_n: int, *, texts_per_s: float, pane_s: float, columns_n: int) -> int:
    """`most_n`, halved until its texts keep the encoder busy for at most `BUSY` of a pane's time; `texts_per_s` 0 = not known yet.

    Known before the pane's texts are seen, so that a slow encoder makes the sample smaller and not one of quick texts.
    """
    while most_n > LEAST_N and texts_per_s > 0.0 and most_n / texts_per_s > BUSY * pane_s / columns_n:
        most_n //= 2
    return max(LEAST_N, most_n)


def text_of(record: Spooled, subject: str) -> str | None:
    """The text of "input.NAME", "segment.NAME" or "output.text"; None = there is none."""
    where, name = subject.split(".", 1)
    parsed = record.parsed()
    if where == "output":
        return output_of(parsed.output).text
    return groups_of([name], _OBJECT.decode(parsed.inputs), _OBJECT.decode(parsed.segments))[name]


def sent(texts: Sequence[str], max_tokens: int) -> list[str]:
    """As the process gets them: cut, and valid Unicode."""
    return [text[: max_tokens * _TOKEN_CHARS].encode("utf-8", "replace").decode() for text in texts]
