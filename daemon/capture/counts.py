"""How many records and labels were accepted and refused, by reason. Written by the event loop alone, read by anyone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from daemon.capture.frames import EntryKind
    from daemon.capture.rejection import Rejected, Rejection


class Counts:
    """Since the start of the process. `accepted + refused` is all that was sent; requests refused whole count once."""

    def __init__(self) -> None:
        self.accepted: Counter[EntryKind] = Counter()
        """Lines acknowledged."""
        self.refused: Counter[tuple[EntryKind, Rejection]] = Counter()
        self.requests: Counter[int] = Counter()
        """By HTTP status."""
        self.body_bytes = 0

    def accept(self, kind: EntryKind, n: int) -> None:
        """Count lines that are in the spool."""
        self.accepted[kind] += n

    def refuse(self, kind: EntryKind, reason: Rejection, n: int = 1) -> None:
        """Count refused lines, or a whole request as one."""
        self.refused[kind, reason] += n

    def refuse_all(self, kind: EntryKind, rejected: Iterable[Rejected]) -> None:
        """Count each under its own reason."""
        for item in rejected:
            self.refused[kind, item.reason] += 1
