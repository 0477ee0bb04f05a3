"""Lines of JSON to values, many records at once: the usual shape in a few calls, every other the long way with the same result."""

from __future__ import annotations

import operator
import struct
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec.json import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

_OBJECT = Decoder(dict[str, Any])


class Output(msgspec.Struct, frozen=True, gc=False):
    """What of an answer is read."""

    label: str | None = None
    scores: dict[str, float] | None = None
    text: str | None = None
    value: float | None = None


class _WholeOutput(Output, frozen=True, gc=False, forbid_unknown_fields=True):
    """An answer that has nothing else."""


_OUTPUT, _WHOLE_OUTPUT = Decoder(Output), Decoder(_WholeOutput)
_json = msgspec.json.Encoder()


def output_of(data: msgspec.Raw | str) -> Output:
    """What was answered."""
    return _OUTPUT.decode(data)


def outputs_of(lines: bytes) -> tuple[Sequence[Output], list[bytes]]:
    """Answers, and what is read of each as JSON: as it was sent where it has nothing else."""
    try:
        return _WHOLE_OUTPUT.decode_lines(lines), lines.split(b"\n")
    except ValueError:
        outputs = _OUTPUT.decode_lines(lines)
        return outputs, [_json.encode(output) for output in outputs]


def objects_of(lines: bytes) -> list[dict[str, Any]]:
    """All there is in each line."""
    return _OBJECT.decode_lines(lines)


class Fields:
    """Values by name from lines of objects; made once for its names.

    Args:
        names: fields that can be asked for; all others are skipped.
        together: those of them that `numbers` reads.

    """

    def __init__(self, names: Iterable[str], together: Sequence[str]) -> None:
        fields = {name: f"c{i}" for i, name in enumerate(names)}
        self.together = together
        try:
            row = msgspec.defstruct(
                "Row", [(f, Any, None) for f in fields.values()], rename={f: n for n, f in fields.items()}, frozen=True, gc=False
            )
        except ValueError:  # a name that no struct can have, with a quote in it
            self.decode: Callable[[bytes], list[Any]] = _OBJECT.decode_lines
            self.value: dict[str, Callable[[Any], Any]] = {name: operator.methodcaller("get", name) for name in fields}
            return
        self.decode = Decoder(row).decode_lines
        """Lines -> rows, for `value` and `numbers`."""
        self.value = {name: operator.attrgetter(field) for name, field in fields.items()}
        """Name -> what takes its value out of a row; None where there is none."""
        self._pack = struct.Struct(f"{len(together)}d").pack
        self._all = operator.attrgetter(*(fields[name] for name in together)) if len(together) > 1 else None

    def numbers(self, rows: Sequence[Any]) -> dict[str, NDArray[np.float64]]:
        """Those of `together` whose values are all finite numbers, each of shape (n,); none where one value of any is no number at all."""
        pick = getattr(self, "_all", None)
        if pick is None:
            return {}
        k = len(self.together)
        try:
            found = np.frombuffer(b"".join(starmap(self._pack, map(pick, rows))))
        except struct.error:  # something is neither float nor integer: None, or text
            try:
                found = np.fromiter(chain.from_iterable(map(pick, rows)), np.float64, len(rows) * k)
            except (TypeError, ValueError, OverflowError):
                return {}
        columns = np.ascontiguousarray(found.reshape(-1, k).T)  # (k, n)
        are_finite = np.flatnonzero(np.isfinite(columns).all(axis=1))
        return {self.together[i]: columns[i] for i in are_finite.tolist()}
