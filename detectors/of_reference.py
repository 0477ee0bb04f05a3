"""Parts of a detector's state that follow from its reference: `start` makes them again, so the ledger does not keep them.

A state is written with every pane; thousands of reference rows in it would be gigabytes a day.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

S = TypeVar("S")

_KEY = "of_reference"


def of_reference() -> Any:  # noqa: ANN401 (as `dataclasses.field`)
    """A field that `start` fills with a tuple; () in a state that was just read."""
    return dataclasses.field(default=(), metadata={_KEY: True})


def is_kept(field: dataclasses.Field[Any]) -> bool:
    """Whether the ledger keeps a field."""
    return not field.metadata.get(_KEY)


def filled(state: S, fresh: S) -> S:
    """A state that was read, with the parts that are not kept from a fresh one of the same detector and reference."""
    if not dataclasses.is_dataclass(state) or isinstance(state, type):
        return state
    again = {f.name: getattr(fresh, f.name) for f in dataclasses.fields(state) if not is_kept(f)}
    return dataclasses.replace(state, **again) if again else state
