"""All scenarios by id, and the sequential detectors that are in none, with the reason."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.detectors.case import Scenario

_MODULES = ("columns", "errors", "generators", "annotated", "loans", "texts")

_FAULT = "a bet on a share like missing_rise, which is judged; rivals here count no such fault"
_NO_WORLD = "cases hold classes without scores, no numbers, no judgements; its run length and power: tests/unit/test_performance.py"
EXCLUSIONS: dict[str, str] = {
    "wrong_type_rise": _FAULT,
    "duplicate_id_rise": _FAULT,
    "duplicate_content_rise": _FAULT,
    "embedding_witness": "domain_classifier's bets, which are judged, on vectors; no rival here reads vectors",
    "ppi_floor": "accuracy_floor's bets, which are judged, with predictions beside them; cases hold classes without scores",
    "ppi_score_floor": "score_floor's bets with a judge's scores beside; cases hold no judgements (tests/unit/test_ppi_score_floor.py)",
    "fairness_ratio": "fairness_gap's bets, which are judged, on a ratio of the same rates; no rival here alarms on it",
    **dict.fromkeys(
        ("fairness_score_gap", "fairness_calibration_gap"), "fairness_gap's bets, which are judged; cases hold classes without scores"
    ),
    **dict.fromkeys(("risk_judged", "risk_judged_change", "risk_value", "risk_value_change", "score_floor", "value_ceiling"), _NO_WORLD),
    **dict.fromkeys(
        ("risk_judged_rise", "risk_value_rise"),
        "risk_rise's ranks, which are judged; cases hold no judgements, no numbers: tests/unit/test_risk_rise.py",
    ),
    **dict.fromkeys(("auc_floor", "calibration_change", "probability_ceiling"), _NO_WORLD),
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


def judged() -> set[str]:
    """Our detectors that some scenario runs."""
    return {name for one in scenarios().values() for settings in one.ours.values() for name in settings}
