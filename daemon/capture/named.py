"""Lines of objects with the same names again and again: a struct of the names that traffic uses is decoded in half a dictionary's time.

The names are learnt from what the plain decoder took. Nothing is taken that it would refuse: a line with another name, or anything
else that is wrong, sends its slice to the plain decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec.json import Decoder

T = TypeVar("T")
Names = tuple[frozenset[str], ...]
"""Of each object in an item, in an order that the caller knows."""

_MOST_LEARNT_N = 32
"""How often new names make a new struct; a client with ever new names costs the plain way from then on."""


class ByNames(Generic[T]):
    """Used by one thread."""

    def __init__(
        self, plain: Decoder[T], names_of: Callable[[Iterable[T]], Names | None], made: Callable[[Names], Decoder[Any] | None]
    ) -> None:
        self._plain, self._names_of, self._made = plain, names_of, made
        self._names: Names | None = None
        self._named: Decoder[Any] | None = None
        self._learnt_n = 0

    def decode_lines(self, lines: memoryview) -> tuple[list[Any], bool]:
        """(items, whether their objects are structs of sound names). Raises what the plain decoder raises."""
        if self._named is not None:
            try:
                return self._named.decode_lines(lines), True
            except (ValueError, RecursionError):
                pass  # the plain decoder says whether anything is wrong
        items = self._plain.decode_lines(lines)
        if self._learnt_n < _MOST_LEARNT_N:
            self._learn(items)
        return items, False

    def _learn(self, items: list[T]) -> None:
        found = self._names_of(items)
        if found is None:
            return
        names = found if self._names is None else tuple(a | b for a, b in zip(self._names, found, strict=True))
        if names == self._names:
            return
        self._learnt_n += 1
        if (named := self._made(names)) is not None:
            self._names, self._named = names, named
