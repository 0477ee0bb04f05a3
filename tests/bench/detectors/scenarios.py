"""All scenarios by id, and the sequential detectors that are in none, with the reason."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tests.bench.detectors import annotated, nannyml_sets

if TYPE_CHECKING:
    from tests.bench.detectors.case import Scenario

_MODULES = ("columns", "errors", "generators", "annotated", "nannyml_sets", "texts", "vectors")

_FAULT = "a bet on a share like missing_rise, which is judged; no scenario of this fault was made"
_NO_SCORES = "cases hold classes without scores: none was made"
_NO_JUDGE = "cases hold no judgements: none was made"
EXCLUSIONS: dict[str, str] = {
    **dict.fromkeys(("wrong_type_rise", "duplicate_id_rise", "duplicate_content_rise"), _FAULT),
    "fairness_ratio": "fairness_gap's bets, which are judged, on a ratio of the same rates: no scenario of its own was made",
    **dict.fromkeys(("fairness_score_gap", "fairness_calibration_gap"), f"fairness_gap's bets, which are judged, on scores; {_NO_SCORES}"),
    "ppi_floor": f"accuracy_floor's bets, which are judged, with predictions beside them; {_NO_SCORES}",
    "ppi_score_floor": f"score_floor's bets with a judge's scores beside them; {_NO_JUDGE}",
    **dict.fromkeys(("risk_judged", "risk_judged_change", "score_floor"), _NO_JUDGE),
    "risk_judged_rise": f"risk_rise's ranks, which are judged, on judgements; {_NO_JUDGE}",
}
"""Sequential detector -> why no scenario has it."""


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
