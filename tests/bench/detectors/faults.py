"""Scenarios of faults of the data as such: values that do not read, ids and contents that come again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_BACK_N = 30
"""So many keys back goes a sender that repeats itself."""


def _wrong_types(rng: np.random.Generator, much: Floats) -> Rows:
    """Text such as "n/a" in a column of numbers: 1 in 100 values, then 5."""
    is_wrong = rng.random(len(much)) < 0.01 + 0.04 * much
    return {"x": np.where(is_wrong, np.nan, rng.normal(0.0, 1.0, len(much))), "wrong.x": is_wrong.astype(np.int64)}


def _again(name: str, before: float, after: float) -> Callable[[np.random.Generator, Floats], Rows]:
    """Keys are new, but for a share that repeats one of the latest."""

    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        keys = np.arange(len(much))
        repeats = rng.random(len(much)) < before + (after - before) * much
        back = rng.integers(1, _BACK_N + 1, len(much))
        for at in np.flatnonzero(repeats & (keys >= back)).tolist():
            keys[at] = keys[at - back[at]]
        return {name: keys}

    return draw


def _fault(name: str, says: str, kinds: dict[str, str], draw: Callable[[np.random.Generator, Floats], Rows], **given: Any) -> Scenario:
    sizes: dict[str, Any] = {"null": (20, 120), "drift": (28, 10, 30)}
    return Scenario(id=name, says=says, kinds=kinds, draw=draw, **{**sizes, **given})


SCENARIOS = (
    _fault(
        "wrong-types",
        "1 column, values that do not read as numbers from 1 to 5 %",
        {"x": "numeric", "wrong.x": "fault"},
        _wrong_types,
        ours={"retuned wrong_type_rise": {"wrong_type_rise": {}}, "retuned conformal_numeric": {"conformal_numeric": {}}},
        watched=("wrong types", "columns"),
    ),
    _fault(
        "ids-again",
        "ids that came before from 2 to 12 % of the arrivals",
        {"record.id": "key"},
        _again("record.id", 0.02, 0.12),
        ours={"retuned duplicate_id_rise": {"duplicate_id_rise": {}}},
        watched=("ids again",),
    ),
    _fault(
        "contents-again",
        "contents that came before, under other ids, from .3 to 4 %",
        {"record.content": "key"},
        _again("record.content", 0.003, 0.04),
        ours={"retuned duplicate_content_rise": {"duplicate_content_rise": {}}},
        watched=("contents again",),
        reference_n=3200,
    ),
)
