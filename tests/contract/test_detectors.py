"""Every registered detector keeps the shipped contract, and the contract catches those that do not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from detectors import registry
from detectors.checks import Check, checks_for

if TYPE_CHECKING:
    from detectors.types import Reference

_CHECKS = [check for name in registry.names() for check in checks_for(registry.detector_class(name))]


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: f"{check.detector_class.name}-{check.name}")
def test_every_detector_keeps_the_contract(check: Check) -> None:
    check()


def test_the_registry_finds_the_detectors_of_every_folder() -> None:
    assert {"ks", "psi", "chi_square", "jensen_shannon", "accuracy", "precision", "recall", "f1"} < set(registry.names())
    assert {"equalized_odds", "demographic_parity"} < set(registry.names())


def _broken(name: str, **changes: Any) -> list[str]:
    """Names of the checks that a spoilt copy of a detector fails."""
    cls = registry.detector_class(name)
    spoilt = dataclasses.dataclass(frozen=True, kw_only=True)(type("Spoilt", (cls,), {"__doc__": "Spoilt.", "name": name, **changes}))
    failed = []
    for check in checks_for(spoilt):
        try:
            check()
        except AssertionError:
            failed.append(check.name)
    return failed


def test_an_unspoilt_copy_passes() -> None:
    assert _broken("ks") == []


def test_a_detector_without_a_source_is_caught() -> None:
    assert _broken("ks", source=" ") == ["is_documented"]


def test_a_detector_that_never_alarms_is_caught() -> None:
    def step(self: Any, state: Any, data: Any) -> Any:
        quiet = dataclasses.replace(self, limit=49.0)  # the index of such a shift is below 15
        return registry.detector_class("psi").step(quiet, state, data)

    assert _broken("psi", step=step) == ["alarms_on_a_gross_shift"]


def test_a_detector_that_remembers_outside_its_state_is_caught() -> None:
    seen: list[int] = []

    def start(self: Any, reference: Reference) -> Any:
        seen.append(1)
        state = registry.detector_class("ks").start(self, reference)
        return dataclasses.replace(state, n=state.n + len(seen))

    assert "is_pure" in _broken("ks", start=start)


def test_a_detector_that_changes_its_input_is_caught() -> None:
    def step(self: Any, state: Any, data: Any) -> Any:
        answer = registry.detector_class("ks").step(self, state, data)
        data.sketches.clear()
        return answer

    assert "is_pure" in _broken("ks", step=step)


def test_a_state_that_the_ledger_cannot_store_is_caught() -> None:
    def start(self: Any, reference: Reference) -> Any:
        state = registry.detector_class("ks").start(self, reference)
        return dataclasses.replace(state, values=state.values.astype(object))

    assert "keeps_a_storable_state" in _broken("ks", start=start)


def test_no_detector_imports_fairlearn_or_scipy_stats_before_it_looks_at_a_window() -> None:
    program = (
        "import sys\n"
        "from detectors import registry\n"
        "for name in registry.names(): registry.detector_class(name).example()\n"
        "print(sorted(m for m in ('fairlearn', 'scipy.stats', 'pandas', 'torch') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
