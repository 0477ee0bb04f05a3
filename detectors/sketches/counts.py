"""How often each category of a column occurs, bounded however many categories there are."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

MOST_CATEGORIES = 1000
"""More than that many are an identifier, not a category: the surplus is counted in `other`."""
_LONGEST = 256
_VERSION = 1


def category_name(value: object) -> str:
    """A category as it is kept: long ones are cut to 256 characters, with a digest so that two never become one."""
    name = value if isinstance(value, str) else str(value)
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{name[: _LONGEST - 17]}#{digest}"


def _order(name: str) -> tuple[bytes, str]:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), name


def bounded(counts: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The categories kept, in sorted order, and the sum of the others.

    Kept are those first in the order of their hashes. What is among the first of a union is among the first of every part that has
    it, so the counts of kept categories are exact and merging is associative (the bottom-k idea of Cohen & Kaplan, "Summarizing data
    using bottom-k sketches", PODC 2007, with the categories as keys).
    """
    names = sorted(counts) if len(counts) <= MOST_CATEGORIES else sorted(sorted(counts, key=_order)[:MOST_CATEGORIES])
    kept = {name: counts[name] for name in names}
    return kept, (sum(counts.values()) - sum(kept.values()) if len(kept) < len(counts) else 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """A commutative monoid over categories: merge equals one pass exactly.

    Cost: one dictionary entry for each of at most 1,000 categories.
    """

    kind: ClassVar[str] = "counts"

    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Category -> how often; at most `MOST_CATEGORIES`."""
    other: int = 0
    """Values of categories that are not kept."""
    missing: int = 0
    """None."""

    @property
    def n(self) -> int:
        """Values, without the missing ones."""
        return sum(self.counts.values()) + self.other

    def add(self, values: NDArray[np.object_]) -> Self:
        """Take in categories, shape (n,), str, None = missing."""
        found: Counter[Any] = Counter(values.tolist())
        missing = found.pop(None, 0)
        fresh: Counter[str] = Counter()
        for value, n in found.items():
            fresh[category_name(value)] += n
        kept, other = bounded(fresh)
        return self.merge(type(self)(counts=kept, other=other, missing=missing))

    def merge(self, other: Self) -> Self:
        """Both together."""
        kept, rest = bounded(Counter(self.counts) + Counter(other.counts))
        return type(self)(counts=MappingProxyType(kept), other=self.other + other.other + rest, missing=self.missing + other.missing)

    def to_bytes(self) -> bytes:
        """Compact JSON behind one byte of version."""
        document = [self.other, self.missing, dict(self.counts)]
        return bytes([_VERSION]) + json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse; `ValueError` on bytes that are no counts."""
        if not data or data[0] != _VERSION:
            raise ValueError(f"not counts of version {_VERSION}: {len(data)} bytes")
        try:
            other, missing, counts = json.loads(data[1:])
        except (RecursionError, TypeError, ValueError) as e:
            raise ValueError(f"not counts: {e}") from e
        numbers = [other, missing, *counts.values()] if isinstance(counts, dict) else [None]
        if any(type(x) is not int or x < 0 for x in numbers) or len(counts) > MOST_CATEGORIES or any(len(x) > _LONGEST for x in counts):
            raise ValueError("not counts: a figure is no natural number, or there are too many or too long categories")
        return cls(counts=MappingProxyType(counts), other=other, missing=missing)


def together(a: Counts, b: Counts) -> dict[str, tuple[int, int]]:
    """Category -> its count in each, exact in both; "(other)" and "(missing)" come last, when there are any."""
    kept, _ = bounded(Counter(a.counts) + Counter(b.counts))
    table = {name: (a.counts.get(name, 0), b.counts.get(name, 0)) for name in kept}
    rest = (a.n - sum(x for x, _ in table.values()), b.n - sum(x for _, x in table.values()))
    for name, pair in (("(other)", rest), ("(missing)", (a.missing, b.missing))):
        if any(pair):
            x, y = table.get(name, (0, 0))
            table[name] = (x + pair[0], y + pair[1])
    return table
