"""Parts of a detector's state that follow from its reference: `start` makes them again, so the ledger does not keep them.

A state is written with every pane; thousands of reference rows in it would be gigabytes a day. Such a field may be of a dataclass that the
state holds, by itself or in a tuple.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sized

S = TypeVar("S")

_KEY, _SAME = "of_reference", "same_in_reference"


def of_reference() -> Any:  # noqa: ANN401 (as `dataclasses.field`)
    """A field that `start` fills; () in a state that was just read."""
    return dataclasses.field(default=(), metadata={_KEY: True})


def same_in_reference() -> Any:  # noqa: ANN401 (as `dataclasses.field`)
    """A field that is kept, and that `start` makes the same of the same rows: where it differs, the evidence is of other rows."""
    return dataclasses.field(metadata={_SAME: True})


def is_kept(field: dataclasses.Field[Any]) -> bool:
    """Whether the ledger keeps a field."""
    return not field.metadata.get(_KEY)


def check_filled(found: Sized, n: int) -> None:
    """Refuse what a fresh state filled in where the read one has n of it: it is of another reference, or of an older release."""
    if not isinstance(found, tuple) and len(found) != n:
        raise ValueError(f"the reference gives {len(found)} cells, the state has {n}")


def filled(state: S, fresh: S) -> S:
    """A state that was read, with the parts that are not kept from a fresh one of the same detector and reference.

    Raises:
        ValueError: the two do not belong together.
    """
    if not dataclasses.is_dataclass(state) or isinstance(state, type) or type(state) is not type(fresh):
        return state
    again: dict[str, Any] = {}
    for f in dataclasses.fields(state):
        own, other = getattr(state, f.name), getattr(fresh, f.name)
        if f.metadata.get(_SAME) and not np.allclose(own, other, rtol=1e-6, equal_nan=True):
            raise ValueError(f"{f.name} of {type(state).__name__} is of other rows of the reference")
        found = (_filled_each if isinstance(own, tuple) else filled)(own, other) if is_kept(f) else other
        again |= {f.name: found} if found is not own else {}
    return dataclasses.replace(state, **again) if again else state


def _filled_each(state: tuple[Any, ...], fresh: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of a state's tuple; one in which nothing lacks is as it is, and may have grown."""
    if not any(map(_lacks, state)):
        return state
    if len(state) != len(fresh):
        raise ValueError(f"the reference gives {len(fresh)} parts, the state has {len(state)}")
    return tuple(filled(own, other) for own, other in zip(state, fresh, strict=True))


def _lacks(value: object) -> bool:
    """Whether a value has parts that are not kept, itself or within."""
    if isinstance(value, tuple):
        return any(map(_lacks, value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return False
    return any(not is_kept(f) or _lacks(getattr(value, f.name)) for f in dataclasses.fields(value))
