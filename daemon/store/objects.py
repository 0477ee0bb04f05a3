"""Column types for what the ledger holds as JSON or bytes: a row that somebody damaged reads as an empty one that says so.

Whoever reads a row goes on with what is left of it; `daemon.store.damage` tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, LargeBinary
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Dialect


class Damaged(dict[str, Any]):
    """What should have been an object, and is none: empty."""


class Object(TypeDecorator[dict[str, Any]]):
    """A JSON object; None where the column may be NULL.

    Args:
        keys: what it has to hold.
        each: what every value of it, an object too, has to hold; None = values are anything.
        none_as_null: as SQLAlchemy's `JSON`.

    """

    impl = JSON
    cache_ok = True

    def __init__(self, keys: tuple[str, ...] = (), each: tuple[str, ...] | None = None, *, none_as_null: bool = False) -> None:
        super().__init__(none_as_null=none_as_null)
        self.keys, self.each = keys, each

    def _is_whole(self, found: object) -> bool:
        if not isinstance(found, dict) or not found.keys() >= {*self.keys}:
            return False
        return self.each is None or all(isinstance(value, dict) and value.keys() >= {*self.each} for value in found.values())

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Reads one value."""
        decode = self.impl_instance.result_processor(dialect, coltype)

        def read(value: Any) -> dict[str, Any] | None:  # noqa: ANN401 (whatever stands there)
            try:
                found = value if decode is None else decode(value)
            except (ValueError, TypeError, RecursionError):
                return Damaged()
            return found if found is None or self._is_whole(found) else Damaged()

        return read


class Blob(TypeDecorator[bytes]):
    """Bytes; SQLite takes a text or a number in their place, which reads as none."""

    impl = LargeBinary
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002 (both drivers give bytes)
        """Reads one value."""

        def read(value: Any) -> bytes:  # noqa: ANN401 (whatever stands there)
            if not isinstance(value, bytes | memoryview):
                return b""
            return bytes(value)

        return read
