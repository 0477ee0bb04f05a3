"""All scenarios by id, and which of our detectors they judge."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tests.bench.detectors import annotated, nannyml_sets

if TYPE_CHECKING:
    from tests.bench.detectors.case import Scenario

_MODULES = (
    *("columns", "faults", "errors", "scored", "groups", "numbers", "judged"),
    *("generators", "annotated", "nannyml_sets", "texts", "vectors"),
)


def scenarios() -> dict[str, Scenario]:
    """Id -> scenario, in the page's order."""
    found: dict[str, Scenario] = {}
    for module in _MODULES:
        for one in importlib.import_module(f"tests.bench.detectors.{module}").SCENARIOS:
            if one.id in found:
                raise ValueError(f"two scenarios have the id {one.id!r}; ids are permanent and unique")
            found[one.id] = one
    return found


def in_order() -> dict[str, Scenario]:
    """One pass each through real series: they have a table of their own, since one stream has no median."""
    return {one.id: one for one in (*annotated.IN_ORDER, *nannyml_sets.IN_ORDER)}


def judged() -> set[str]:
    """Our detectors that some scenario runs."""
    return {name for one in scenarios().values() for settings in one.ours.values() for name in settings}
