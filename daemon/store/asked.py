"""What one record was asked, by name, whether an input or a segment carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.settings_encoder import LENGTH
from daemon.store.values import values_of
from detectors.as_category import as_category
from detectors.types import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


def groups_of(protected: Iterable[str], inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> dict[str, str | None]:
    """Group of one record in each protected column; None = unknown."""
    return {name: as_category(sent_as(name, inputs, segments)) for name in protected}


def length(value: object) -> int | None:
    """Of a text, in characters; None where there is none."""
    return len(value) if isinstance(value, str) else None


def inputs_of(kinds: Mapping[str, ColumnKind], inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> dict[str, Any]:
    """What one record was asked, by subject as it is carried, as it was sent; None = not there."""
    found: dict[str, Any] = {}
    for subject, kind in kinds.items():
        value = sent_as(subject.split(".", 1)[1], inputs, segments)
        if kind is ColumnKind.TEXT:
            found[f"{subject}{LENGTH}"] = length(value)
        else:
            found[subject] = value
    return found


def asked_columns(kinds: Mapping[str, ColumnKind], rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Of `inputs_of` of n records: subject -> values, shape (n,), as they are read of all records."""
    found: dict[str, NDArray[Any]] = {}
    for subject, kind in kinds.items():
        name, read = (f"{subject}{LENGTH}", ColumnKind.NUMERIC) if kind is ColumnKind.TEXT else (subject, kind)
        found[name] = values_of(read, [row.get(name) for row in rows])
    return found


def sent_as(name: str, inputs: Mapping[str, Any], segments: Mapping[str, Any]) -> object:
    """Of one record: from its inputs, from its segments where those do not have it or say null; None = nowhere."""
    found = inputs.get(name)
    return segments.get(name) if found is None else found
