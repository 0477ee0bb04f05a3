"""Detector states to bytes and back: frozen dataclasses of plain values and arrays, no pickle.

Wire form: one version byte, then MessagePack. Plain values stand for themselves, everything else is a list whose first element is its
kind. Decoding builds only dataclasses of packages that the wanted class comes from, and only ones that are imported already: hostile bytes
can raise `ValueError`, never run code.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from detectors.of_reference import is_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

T = TypeVar("T")

_FORMAT = 1
_INT64 = range(-(2**63), 2**63)
_ARRAY_KINDS = frozenset("biuf")
_MOST_VALUES = 1 << 26
_PLAIN = (type(None), bool, float, str, bytes)


def encode(state: object) -> bytes:
    """A state as bytes, without what follows from the reference; `TypeError` names the first value that can't be stored."""
    return bytes([_FORMAT]) + msgspec.msgpack.encode(_pack(state))


def decode(data: bytes, cls: type[T]) -> T:
    """The state of class `cls` that was encoded; `ValueError` for anything else.

    A field that the class has gained since is filled by its default; one that it has lost is an error.
    """
    if data[:1] != bytes([_FORMAT]):
        msg = f"state of {cls.__name__} has format {data[:1].hex() or 'nothing'}, expected {_FORMAT:02x}"
        raise ValueError(msg)
    try:
        found = _unpack(msgspec.msgpack.decode(data[1:]), cls.__module__.partition(".")[0])
    except (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError) as e:
        msg = f"not a state of {cls.__name__}: {e}"
        raise ValueError(msg) from e
    if type(found) is not cls:
        msg = f"expected a state of {cls.__name__}, found {type(found).__name__}"
        raise ValueError(msg)
    return found


def _pack(value: Any) -> Any:  # noqa: ANN401 (any state)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return value if not isinstance(value, str) else str(value)
    if isinstance(value, int):
        return value if value in _INT64 else ["i", str(value)]
    if isinstance(value, np.ndarray):
        return _pack_array(value)
    if isinstance(value, (tuple, list)):
        return ["t" if isinstance(value, tuple) else "l", *(_pack(x) for x in value)]
    if isinstance(value, dict):
        return ["d", *([_pack(k), _pack(v)] for k, v in value.items())]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        kept = {f.name: _pack(getattr(value, f.name)) for f in dataclasses.fields(value) if is_kept(f)}
        return ["c", kind.__module__, kind.__qualname__, kept]
    msg = f"a detector's state cannot hold a {type(value).__name__}; use plain values, tuple, dict, ndarray or a dataclass of those"
    raise TypeError(msg)


def _are_texts(items: list[Any]) -> bool:
    """Whether all are str or None, which stand for themselves: most columns are."""
    return {*map(type, items)} <= {str, type(None)}


def _pack_array(value: NDArray[Any]) -> list[Any]:
    if value.dtype.kind in _ARRAY_KINDS:
        array = np.ascontiguousarray(value)
        return ["a", array.dtype.newbyteorder("<").str, list(value.shape), array.astype(array.dtype.newbyteorder("<")).tobytes()]
    if value.dtype == object:
        items = value.ravel().tolist()
        return ["o", list(value.shape), items if _are_texts(items) else [_pack(x) for x in items]]
    msg = f"a detector's state cannot hold an array of {value.dtype}; use numbers, bool or object (str)"
    raise TypeError(msg)


def _unpack(value: Any, package: str) -> Any:  # noqa: ANN401 (any state)
    if not isinstance(value, list):
        if isinstance(value, dict):
            msg = "a bare map"
            raise TypeError(msg)
        return value
    kind, *rest = value
    if kind == "c":
        return _unpack_dataclass(*rest, package=package)
    return _BUILDERS[kind](rest, package)


def _unpack_all(items: list[Any], package: str) -> list[Any]:
    return [_unpack(x, package) for x in items]


def _shape(shape: list[int]) -> tuple[int, ...]:
    if not all(isinstance(n, int) and 0 <= n <= _MOST_VALUES for n in shape) or math.prod(shape) > _MOST_VALUES:
        msg = f"bad shape {shape}"
        raise TypeError(msg)
    return tuple(shape)


def _unpack_array(dtype: str, shape: list[int], data: bytes) -> NDArray[Any]:
    found = np.dtype(dtype)
    if found.kind not in _ARRAY_KINDS:
        msg = f"bad dtype {dtype!r}"
        raise TypeError(msg)
    native = found.newbyteorder("=")
    return np.frombuffer(data, dtype=found).reshape(_shape(shape)).astype(native)  # a copy: writable, as detectors expect


def _unpack_objects(shape: list[int], items: list[Any]) -> NDArray[Any]:
    if math.prod(_shape(shape)) != len(items):
        msg = f"{len(items)} values for shape {shape}"
        raise TypeError(msg)
    flat = np.empty(len(items), dtype=object)
    flat[:] = items
    return flat.reshape(shape)


def _unpack_dataclass(module: str, name: str, fields: dict[str, Any], *, package: str) -> Any:  # noqa: ANN401 (any state)
    if module.partition(".")[0] != package or module not in sys.modules:
        msg = f"class {module}.{name} is not of the imported modules of {package}"
        raise TypeError(msg)
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = vars(found)[part]
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module):
        msg = f"{module}.{name} is no dataclass"
        raise TypeError(msg)
    return found(**{key: _unpack(x, package) for key, x in fields.items()})


_BUILDERS: dict[str, Callable[[list[Any], str], Any]] = {
    "t": lambda rest, package: tuple(_unpack_all(rest, package)),
    "l": _unpack_all,
    "d": lambda rest, package: {_unpack(k, package): _unpack(v, package) for k, v in rest},
    "a": lambda rest, _: _unpack_array(*rest),
    "o": lambda rest, package: _unpack_objects(rest[0], rest[1] if _are_texts(rest[1]) else _unpack_all(rest[1], package)),
    "i": lambda rest, _: int(rest[0]),
}
