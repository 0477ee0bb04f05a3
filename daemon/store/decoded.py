"""Lines of JSON to values, many records at once: the usual shape in a few calls, every other the long way with the same result."""

from __future__ import annotations

import operator
import struct
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec.json import Decoder
from msgspec.structs import astuple

from daemon.store.answers import Output, WholeOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

Lines = bytes | memoryview


_OUTPUT = Decoder(Output)
_json = msgspec.json.Encoder()


def output_of(data: msgspec.Raw | str) -> Output:
    """What was answered."""
    return _OUTPUT.decode(data)


class Objects(msgspec.Struct, frozen=True, gc=False):
    """The three objects of a record, as they were sent; views of its line."""

    output: msgspec.Raw
    inputs: msgspec.Raw = msgspec.Raw(b"{}")
    segments: msgspec.Raw = msgspec.Raw(b"{}")


_OBJECTS = Decoder(Objects)


def objects_of(lines: Lines) -> list[Objects]:
    """Of each record."""
    return _OBJECTS.decode_lines(lines)


def answers_of(outputs: Sequence[msgspec.Raw]) -> list[bytes]:
    """What is read of each answer, as JSON."""
    return [_json.encode(output) for output in _OUTPUT.decode_lines(b"\n".join(outputs))]


class Fields:
    """Reads of records what is watched; made once for its names.

    Args:
        names: of inputs and segments that can be asked for; all others are skipped.
        together: those of them that `numbers` reads.
        outputs: types of answers, as `Answers.types`.

    """

    def __init__(self, names: Iterable[str], together: Sequence[str], outputs: Sequence[Any] = (WholeOutput, Output)) -> None:
        self.together = together
        fields = {name: f"c{i}" for i, name in enumerate(dict.fromkeys([*together, *names]))}  # these first: see `numbers`
        try:
            own: Any = msgspec.defstruct(
                "Own", [(f, Any, None) for f in fields.values()], rename={f: n for n, f in fields.items()}, frozen=True, gc=False
            )
            nothing: Any = own()
            self.value: dict[str, Callable[[Any], Any]] = {name: operator.attrgetter(field) for name, field in fields.items()}
            """Name -> what takes its value out of a record's inputs or segments; None where there is none."""
        except ValueError:  # a name that no struct can have, with a quote in it
            own, nothing = dict[str, Any], {}
            self.value = {name: operator.methodcaller("get", name) for name in fields}
        read: list[Any] = [("inputs", own, nothing), ("segments", own, nothing)]
        self._decoders = [Decoder(msgspec.defstruct("Read", [("output", o), *read], frozen=True, gc=False)) for o in outputs]
        self._pack = struct.Struct(f"{len(together)}d").pack

    def decode(self, lines: Lines) -> tuple[list[Any], bool]:
        """Of each record an `output`, and `inputs` and `segments` for `value` and `numbers`; and whether no output has anything else."""
        for decoder in self._decoders[:-1]:
            try:
                return decoder.decode_lines(lines), True
            except ValueError:
                pass
        return self._decoders[-1].decode_lines(lines), False

    def numbers(self, inputs: Sequence[Any]) -> dict[str, NDArray[np.float64]]:
        """Those of `together` whose values are all finite numbers, each of shape (n,); none where one value of any is no number at all."""
        k = len(self.together)
        if k < 2 or isinstance(inputs[0], dict):  # noqa: PLR2004 (one column alone is read as any other)
            return {}
        rows = [values[:k] for values in map(astuple, inputs)]  # a third of the time of asking for k attributes
        try:
            found = np.frombuffer(b"".join(starmap(self._pack, rows)))
        except struct.error:  # something is neither float nor integer: None, or text
            try:
                found = np.fromiter(chain.from_iterable(rows), np.float64, len(inputs) * k)
            except (TypeError, ValueError, OverflowError):
                return {}
        columns = np.ascontiguousarray(found.reshape(-1, k).T)  # (k, n)
        are_finite = np.flatnonzero(np.isfinite(columns).all(axis=1))
        return {self.together[i]: columns[i] for i in are_finite.tolist()}
